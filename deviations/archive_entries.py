"""notes/serialization, "Serialized file format for torch.save": the entries of the archive."""

import io
import zipfile

import torch

print("documented: data.pkl, byteorder, data/0, data/1, ..., version")
file = io.BytesIO()
torch.save([torch.ones(1)], file)
names = [name.partition("/")[2] for name in zipfile.ZipFile(file).namelist()]
print("seen:      ", ", ".join(names))
raise SystemExit(names != ["data.pkl", "byteorder", "data/0", "version"])
