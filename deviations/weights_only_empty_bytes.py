"""Docstring of torch.load, weights_only: primitive types are loaded. Empty bytes are not."""

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
        print("seen:       UnpicklingError for", value, "-", str(error).partition("WeightsUnpickler error: ")[2][:80])
        deviates = True
raise SystemExit(deviates)
