"One of several processes that train together: `torchrun --nproc_per_node N parallel_run.py OUT DTYPE STEPS`, or alone"
import os, sys, warnings; warnings.simplefilter('ignore')
import torch, torch.distributed as dist
from fastai.callback.core import Callback
from fastai.callback.training import GradientClip
from safetensors.torch import save_file
from meme_nb.data import fashion_mnist, image_dls
from meme_nb.experts import meme_experts
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter
from meme_nb.schedulers import cosine_schedule
from meme_nb.training import BranchCallback, CheckpointCallback, DropLabelsCallback, ParallelCallback, meme_learner

class CastCallback(Callback):
    order = -9.8
    def __init__(self, dtype): self.dtype = dtype
    def before_batch(self): x,t,*more = self.xb; self.learn.xb = (x.to(self.dtype),t,*more); self.learn.yb = tuple(o.to(self.dtype) for o in self.yb)

class GiveUpCallback(Callback):
    order = 95
    def __init__(self, at): self.at = at
    def after_batch(self):
        if self.train_iter==self.at: raise KeyboardInterrupt()

def main(out, dtype, steps, stop=0):
    dtype = getattr(torch, dtype); world = int(os.environ.get('WORLD_SIZE', 1)); rank = int(os.environ.get('RANK', 0)); torch.set_num_threads(1)
    if world>1: dist.init_process_group('gloo')
    torch.manual_seed(rank)                                      # not the same weights at the start: they are broadcast
    if world==1: torch.manual_seed(0)
    model = MEME(meme_experts(4, width=8, n_classes=10), IntervalRouter(4), cosine_schedule(), 'v').to(dtype)
    cbs = [GradientClip(1.), BranchCallback(.4), CastCallback(dtype), DropLabelsCallback(.3), *([ParallelCallback()] if world>1 else []), CheckpointCallback(out+'_ckpt', every=5, resume=True, leader=rank==0), *([GiveUpCallback(int(stop))] if int(stop) else [])]
    learn = meme_learner(image_dls(fashion_mnist(size=16), 32, fashion_mnist('test', 16)[:64], n_batches=int(steps), share=(rank, world)), model, cbs, decay=.9)
    with learn.no_bar(), learn.no_logging():
        try: learn.fit_one_cycle(1, 3e-3)
        except KeyboardInterrupt: pass
    if rank==0: save_file({k: v.contiguous() for k,v in learn.averaged().state_dict().items()}, out)
    if world>1: dist.barrier(); dist.destroy_process_group()

if __name__=='__main__': main(*sys.argv[1:])
