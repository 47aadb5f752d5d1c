"""Empty bytes in a file that is loaded with weights_only=True."""

import io
import pickle

import torch

print("documented: weights_only=True loads tensors, primitive types and dictionaries")
deviates = False
for value in (b"some", b""):
    file = io.BytesIO()
    torch.save({"value": value}, file)
    file.seek(0)
    try:
        print("seen:      ", torch.load(file, weights_only=True))
    except pickle.UnpicklingError as error:
        print("seen:       UnpicklingError for", value, "-", str(error)[:26])
        deviates = True
raise SystemExit(deviates)
