"""What the training loop costs beside the bare one, and how much memory: `python tools/measure_training.py [ROUNDS]`

Writes nbs/images/training.json: the time of a step of `meme_learner` beside that of a loop of nothing but zero_grad, forward, loss, backward and
step on ready tensors, for experts of width 32 and batches of 128 (rounds of both in turn, medians); what the loader alone delivers; where the
loop's time goes; the peak of memory in training one expert, and four in turn.
"""
import gc, json, subprocess, sys, time
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

bs, steps, out = 128, 8, Path(__file__).parent.parent/'nbs'/'images'/'training.json'

def model(n):
    torch.manual_seed(0); return MEME(meme_experts(n, 3, 32), IntervalRouter(n), cosine_schedule(), 'v')

def learner(m, n=steps, bs=bs):
    images = emoji(); return meme_learner(image_dls(images, bs, images[:2], n_batches=n, flip=True), m, cbs=GradientClip(1.))

def fit(learn):
    "Seconds a step of the whole loop"
    with learn.no_bar(), learn.no_logging(): start = time.perf_counter(); learn.fit(1, 1e-4); return (time.perf_counter()-start)/len(learn.dls.train)

def bare(m):
    "A function that gives the seconds a step of the bare loop"
    m = m.to(memory_format=torch.channels_last); opt = adamw(expert_groups(m), 1e-4).opt; x = torch.randn(bs,3,32,32).to(memory_format=torch.channels_last); t = torch.randint(0, 1000, (bs,))
    def run():
        start = time.perf_counter()
        for i in range(steps): opt.zero_grad(); diffusion_loss(m.experts[i%len(m.experts)](x, t), x).backward(); opt.step()
        return (time.perf_counter()-start)/steps
    return run

def throughput(rounds):
    "Medians of both loops in turn, and of the loader alone"
    learn, run, rows = learner(model(4)), bare(model(4)), []; learn.dls.valid.n_batches = 1
    for i in range(rounds+1): rows.append((fit(learn), run()))                        # the first allocates
    whole, alone = (median(o[1:]) for o in zip(*rows)); images = learn.dls.train; start = time.perf_counter(); n = sum(len(x) for x, in [b[:1] for _ in range(5) for b in images])
    loader = n/(time.perf_counter()-start)
    return dict(ms_whole=round(1e3*whole, 1), ms_bare=round(1e3*alone, 1), share=round(median(b/a for a,b in rows[1:]), 3), loader_over_training=round(loader*whole/bs, 1))

def shares():
    "Where the time of the whole loop goes"
    spent, learn = defaultdict(float), learner(model(4)); fit(learn)
    def timed(name, f):
        def g(*args, **kw):
            start = time.perf_counter()
            try: return f(*args, **kw)
            finally: spent[name] += time.perf_counter()-start
        return g
    for e in learn.model.experts: e.forward = timed('forward', e.forward)
    for name,o,f in (('loss',learn,'loss_func'),('backward',learn,'_backward'),('optimiser',learn,'_step'),('data',learn.dls.train.dataset,'batch'),('noising',learn.noising,'before_batch'),
                     ('average',learn.ema,'after_step'),('guard',learn.guard,'before_step'),('clipping',learn.gradient_clip,'before_step'),('whole',learn,'_do_epoch_train')): setattr(o, f, timed(name, getattr(o, f)))
    fit(learn); whole = spent.pop('whole'); return {k: round(v/whole, 4) for k,v in spent.items()}

def status(key): return int(next(l for l in open('/proc/self/status') if l.startswith(key)).split()[1])/1e3

def peak(n):
    "MB above what was there before, at most, in training `n` experts; and what each one keeps: weights, their average, two moments"
    m = model(n); learn = learner(m); gc.collect(); Path('/proc/self/clear_refs').write_text('5'); before = status('VmRSS'); fit(learn)
    return status('VmHWM')-before, 4*sum(p.numel() for p in m.parameters())*4/1e6/n

def main(rounds=9):
    one, four = ([float(o) for o in subprocess.run([sys.executable, __file__, 'peak', str(n)], capture_output=True, text=True, check=True).stdout.split()] for n in (1,4))
    memory = dict(MB_one=round(one[0]), MB_four=round(four[0]), MB_kept_by_expert=round(four[1], 1), ratio=round((four[0]-3*four[1])/one[0], 3))
    keep_memory()
    facts = dict(batch=bs, threads=torch.get_num_threads(), torch=torch.__version__, date=time.strftime('%Y-%m-%d'), rounds=rounds, memory=memory, **throughput(rounds), shares=shares())
    out.write_text(json.dumps(facts, indent=1)+'\n'); print(json.dumps(facts, indent=1))

if __name__=='__main__':
    if sys.argv[1:2]==['peak']: print(*peak(int(sys.argv[2])))
    else: main(*map(int, sys.argv[1:]))
