"""Where the time of a training step goes: `python tools/profile_step.py [STEPS] [BATCH]`

Times the parts of `meme_learner`'s loop on the embedded data, with the demo's experts, and prints each one's share as JSON.
"""
import json, os, sys, time
from collections import defaultdict
from fastai.callback.training import GradientClip
from meme_nb.cli import demo_model
from meme_nb.data import fashion_mnist, image_dls
from meme_nb.training import meme_learner
import torch

spent = defaultdict(float)

def timed(name, f):
    "`f`, its time added to `spent[name]`"
    def g(*args, **kw):
        start = time.perf_counter()
        try: return f(*args, **kw)
        finally: spent[name] += time.perf_counter()-start
    return g

def watch(learn):
    "Put a clock on every part of the loop that has a name"
    for e in learn.model.experts: e.forward = timed('forward', e.forward)
    learn.loss_func = timed('loss', learn.loss_func)
    learn._backward = timed('backward', learn._backward)
    learn._step = timed('optimiser', learn._step)
    learn.dls.train.dataset.batch = timed('data', learn.dls.train.dataset.batch)
    learn.noising.before_batch = timed('noising', learn.noising.before_batch)
    learn.ema.after_step = timed('EMA', learn.ema.after_step)
    learn.gradient_clip.before_step = timed('clipping', learn.gradient_clip.before_step)

def main(steps=60, bs=128):
    torch.set_num_threads(os.cpu_count())
    train = fashion_mnist('train')
    learn = meme_learner(image_dls(train, bs, train[:2], n_batches=steps), demo_model(0), cbs=GradientClip(1.))
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-4)                       # the first steps allocate and choose algorithms
        watch(learn); learn._do_epoch_train = timed('whole', learn._do_epoch_train); learn.fit(1, 1e-4)
    whole = spent.pop('whole'); share = {k: round(v/whole, 4) for k,v in spent.items()}
    experts = sum(share[k] for k in ('forward','loss','backward','optimiser'))
    return dict(steps=steps, batch=bs, ms_per_step=round(1000*whole/steps, 1), share=share, rest=round(1-sum(share.values()), 4), forward_backward_optimiser=round(experts, 4))

if __name__=='__main__': print(json.dumps(main(*map(int, sys.argv[1:])), indent=1))
