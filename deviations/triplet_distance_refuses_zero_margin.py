"""A margin of 0 is refused, as of TripletMarginLoss, whose page says so."""

import torch

try:
    seen, wrong = torch.nn.TripletMarginWithDistanceLoss(margin=0.0), False
except ValueError as error:
    seen, wrong = error, True
print("documented:", "margin may be any nonnegative number")
print("seen:      ", seen)
raise SystemExit(int(wrong))
