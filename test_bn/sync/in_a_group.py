"""One of two processes of a gloo group: prints, as JSON, what SyncBatchNorm did there on the CPU."""

import json
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn


def refused(bn, x):
    """What the error says, or an empty text."""
    try:
        bn(x)
    except ValueError as error:
        return str(error)
    return ""


def main(rank, size, address):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    bn = nn.SyncBatchNorm(2, eps=1e-30)
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0]]) + rank
    seen = {"refusal": refused(bn, x), "running mean": bn.running_mean.tolist(), "counter": int(bn.num_batches_tracked)}
    seen["group refusal"] = refused(nn.SyncBatchNorm(2, process_group=dist.group.WORLD), x)
    bn.eval()
    bn.running_mean.fill_(float(rank))
    # Unequal numbers of calls: one that synchronised would wait for the other process until the time is up.
    for _ in range(1 + 2 * rank):
        seen["evaluated"] = bn(x).tolist()
    seen["without tracking"] = nn.SyncBatchNorm(2, track_running_stats=False, eps=1e-30).eval()(x).tolist()
    dist.barrier()  # who leaves while the other still connects breaks its connection
    print(json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
