"""What the training loop costs beside the bare one, and how much memory: `python tools/measure_training.py [ROUNDS]`

Writes nbs/images/training.json: the time of a step of `meme_learner` beside that of a loop of nothing but zero_grad, forward, loss, backward and
step on ready tensors, for experts of width 32 and batches of 128 (rounds of both in turn, medians); what the loader alone delivers; where the
loop's time goes; the peak of memory in training one expert, and four in turn.
"""
import gc, subprocess, sys, time
from collections import defaultdict
from pathlib import Path
from statistics import median
import torch
from fastai.callback.training import GradientClip
from meme_nb.data import emoji, image_dls
from meme_nb.experts import meme_experts
from meme_nb.losses import diffusion_loss
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter
from meme_nb.schedulers import cosine_schedule
from meme_nb.training import adamw, expert_groups, keep_memory, meme_learner
from record import record

BATCH, STEPS = 128, 8


def model(n):
    torch.manual_seed(0)
    return MEME(meme_experts(n, 3, 32), IntervalRouter(n), cosine_schedule(), 'v')

def learner(m):
    images = emoji()
    return meme_learner(image_dls(images, BATCH, images[:2], n_batches=STEPS, flip=True), m, cbs=GradientClip(1.))

def clock(f):
    start = time.perf_counter()
    f()
    return time.perf_counter()-start


# ---- the whole loop and the bare one --------------------------------------------------------------------------------

def fit(learn):
    "Seconds a step of the whole loop"
    with learn.no_bar(), learn.no_logging(): return clock(lambda: learn.fit(1, 1e-4))/STEPS

def bare(m):
    "A function that gives the seconds a step of the bare loop"
    m, t = m.to(memory_format=torch.channels_last), torch.randint(0, 1000, (BATCH,))
    opt, x = adamw(expert_groups(m), 1e-4).opt, torch.randn(BATCH, 3, 32, 32).to(memory_format=torch.channels_last)
    def steps():
        for i in range(STEPS):
            opt.zero_grad()
            diffusion_loss(m.experts[i%len(m.experts)](x, t), x).backward()
            opt.step()
    return lambda: clock(steps)/STEPS

def images_a_second(loader, epochs=5):
    n = epochs*BATCH*STEPS
    return n/clock(lambda: [None for _ in range(epochs) for _ in loader])

def throughput(rounds):
    "Medians of both loops in turn, and of the loader alone"
    learn, run = learner(model(4)), bare(model(4))
    learn.dls.valid.n_batches = 1
    rows = [(fit(learn), run()) for _ in range(rounds+1)][1:]                       # the first allocates
    whole, alone = map(median, zip(*rows))
    return dict(ms_whole=round(1e3*whole, 1), ms_bare=round(1e3*alone, 1), share=round(median(b/a for a, b in rows), 3),
                loader_over_training=round(images_a_second(learn.dls.train)*whole/BATCH, 1))

def shares():
    "Where the time of the whole loop goes"
    spent, learn = defaultdict(float), learner(model(4))
    fit(learn)
    def watch(name, o, method):
        f = getattr(o, method)
        def timed(*args, **kw):
            start = time.perf_counter()
            try: return f(*args, **kw)
            finally: spent[name] += time.perf_counter()-start
        setattr(o, method, timed)
    for e in learn.model.experts: watch('forward', e, 'forward')
    parts = dict(loss=(learn, 'loss_func'), backward=(learn, '_backward'), optimiser=(learn, '_step'), data=(learn.dls.train.dataset, 'batch'),
                 noising=(learn.noising, 'before_batch'), average=(learn.ema, 'after_step'), guard=(learn.guard, 'before_step'),
                 clipping=(learn.gradient_clip, 'before_step'), whole=(learn, '_do_epoch_train'))
    for name, (o, method) in parts.items(): watch(name, o, method)
    fit(learn)
    whole = spent.pop('whole')
    return {k: round(v/whole, 4) for k, v in spent.items()}


# ---- memory ---------------------------------------------------------------------------------------------------------

def status(key): return int(next(l for l in open('/proc/self/status') if l.startswith(key)).split()[1])/1e3

def peak(n):
    "MB above what was there before, at most, in training `n` experts; and what each one keeps: weights, their average, two moments"
    m = model(n)
    learn = learner(m)
    gc.collect()
    Path('/proc/self/clear_refs').write_text('5')                                   # the peak starts anew
    before = status('VmRSS')
    fit(learn)
    return status('VmHWM')-before, 4*sum(p.numel() for p in m.parameters())*4/1e6/n

def memory():
    "One expert and four, each in a fresh process"
    def ask(n): return [float(o) for o in subprocess.check_output([sys.executable, __file__, 'peak', str(n)], text=True).split()[-2:]]
    (one, _), (four, kept) = ask(1), ask(4)
    return dict(MB_one=round(one), MB_four=round(four), MB_kept_by_expert=round(kept, 1), ratio=round((four-3*kept)/one, 3))

def main(rounds=9):
    used = memory()
    keep_memory()
    record('training', batch=BATCH, rounds=rounds, memory=used, **throughput(rounds), shares=shares())


if __name__=='__main__':
    if sys.argv[1:2]==['peak']: print(*peak(int(sys.argv[2])))
    else: main(*map(int, sys.argv[1:]))
