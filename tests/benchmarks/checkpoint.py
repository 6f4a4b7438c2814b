"""Saves as many bytes as a checkpoint has in PyTorch's ways, and prints how long each kept the caller waiting.

Usage: checkpoint.py BYTES FOLDER
"""

import json
import shutil
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

REPEAT = 3
TENSORS = 600  # weights and two moments of about as many tensors as the models have


def timed(call):
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def main(size: int, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.set_num_threads(2)
    each = size // 4 // TENSORS
    state = {f"tensor.{number}": torch.randn(each) for number in range(TENSORS)}
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1)
    saved, stalls, totals = [], [], []
    for _ in range(REPEAT):
        saved.append(timed(lambda: torch.save(state, folder / "state.pt"))[0])
    for number in range(REPEAT):
        begun = time.perf_counter()
        stall, future = timed(lambda: dcp.async_save(state, checkpoint_id=folder / f"dcp-{number}"))
        future.result()
        totals.append(time.perf_counter() - begun)
        stalls.append(stall)
        shutil.rmtree(folder / f"dcp-{number}")
    dist.destroy_process_group()
    shutil.rmtree(folder)
    print(json.dumps({
        "torch": torch.__version__,
        "bytes": each * 4 * TENSORS,
        "torch.save": {"stall_seconds": saved},
        "dcp.async_save": {"stall_seconds": stalls, "stored_seconds": totals},
    }))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
