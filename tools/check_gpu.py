"""Does it all work on a GPU, as on the CPU, and what does it cost there? `python tools/check_gpu.py`

Samples of the bundle that comes with the package, drawn on both; training, whose losses are set beside the CPU's, of every kind; how often it waits for
the device; peak memory with all experts there, and with one; milliseconds of an image and of a training step for arms of the paper's table (with
weights as drawn at first): as they are (torch's own defaults: TensorFloat-32 in convolutions), in bfloat16, and compiled; images in turns, medians;
steps one run each, means. Wants `apt-get install dataset-fashion-mnist`. Writes nbs/images/gpu.json after each of these, which the page on several GPUs shows.
"""
import json, statistics, tempfile, time, warnings
import torch
from contextlib import contextmanager, nullcontext
from functools import cache
from unittest.mock import patch
from fastai.callback.core import Callback
from meme_nb.data import emoji, fashion_mnist, image_dls
from meme_nb.experts import UNet, count_params, meme_experts
from meme_nb.generate import generate
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter, LearnedRouter
from meme_nb.schedulers import cosine_schedule
from meme_nb.training import BranchCallback, LossMapCallback, NoisingCallback, meme_learner
from paper_table import untrained
from record import command, machine, write

GPU, ARMS = torch.device('cuda'), ('large', 'small', 'narrow_late')


@contextmanager
def exactly():
    "float32 is float32, not TensorFloat-32"
    both = torch.backends.cudnn, torch.backends.cuda.matmul
    was = [o.allow_tf32 for o in both]
    for o in both: o.allow_tf32 = False
    try: yield
    finally:
        for o, old in zip(both, was): o.allow_tf32 = old

def low(): return torch.autocast(GPU.type, torch.bfloat16)


# ---- the same as on the CPU? ----------------------------------------------------------------------------------------

def apart(a, b):
    "Grey levels between images: the most, the mean, and the share of values that differ by more than one"
    d = abs(a.astype(int)-b)
    return dict(most=int(d.max()), mean=round(float(d.mean()), 5), more_than_one=round(float((d>1).mean()), 6))

def samples(n=64):
    "Samples of the GPU against the CPU's, whose noise comes from the same seeds"
    here, there, out = MEME.load('fashion'), MEME.load('fashion', GPU), {}
    for name, steps, own in [('dpmpp_2m', 20, {}), ('ddim', 50, {}), ('ddpm', 50, {}), ('euler', 50, {}), ('heun', 20, {})]:
        def draw(m): return generate(m, n, name, steps, cond=3, **own)
        true, out[name] = draw(here), {}
        for kind, way in dict(float32=exactly, tf32=nullcontext, bfloat16=low).items():
            with way(): out[name][kind] = apart(draw(there), true)
    return out

@cache
def without_labels(data):
    images = data('train', 32)
    return type(images)(images.x, name=images.name)

def learner(device=None, experts=None, steps=12, bs=64, images=None, router=None, cbs=(), before=None, **how):
    "A short run on images without labels; four iU-Nets if no experts are given"
    torch.manual_seed(0)
    experts = experts or meme_experts(4, 1, 32, patch=2)
    model = MEME(experts, router or IntervalRouter(len(experts)), cosine_schedule(), 'v').to(device or GPU)
    images = images or without_labels(fashion_mnist)
    if len(experts)==1: how['p'] = (0.,)
    if before:
        for e in experts: before(e)
    return meme_learner(image_dls(images, bs, images[torch.arange(64)], n_batches=steps, seed=0, device=device or GPU), model, list(cbs), seed=0, **how)

def losses(learn, lr=1e-3):
    "fastai's smoothed loss after each step, float64"
    with learn.no_bar(), learn.no_logging(): learn.fit(1, lr)
    return torch.tensor([float(o) for o in learn.recorder.losses], dtype=torch.float64)

@contextmanager
def noise_of_the_cpu():
    "Noise comes from a generator on the device: here from one on the CPU, so that both train on the same"
    draw = NoisingCallback._draw
    def drawn(self, x0): return tuple(o.to(x0.device) for o in draw(self, x0.cpu()))
    def streams(self, seed): return tuple(torch.Generator().manual_seed(seed+i) for i in range(2))
    with patch.object(NoisingCallback, '_draw', drawn), patch.object(NoisingCallback, '_generators', streams): yield

def training():
    "Losses of the first steps beside the CPU's; the last one's mean after each kind of training"
    with noise_of_the_cpu(), exactly(): cpu, gpu = (losses(learner(d)) for d in ('cpu', GPU))
    kinds = dict(float32={}, bfloat16=dict(precision='bfloat16'), float16=dict(precision='float16'), spread=dict(spread=True),
                 branched=dict(cbs=[BranchCallback(.5)]), loss_map=dict(cbs=[LossMapCallback()]), learned_router=dict(router=LearnedRouter(4, 1000, cosine_schedule())),
                 learned_variance=dict(experts=meme_experts(4, 1, 32, patch=2, learned_variance=True)), colour=dict(images=without_labels(emoji), experts=meme_experts(4, 3, 32)))
    return dict(relative_difference_from_cpu=float(((gpu-cpu)/cpu).abs().max()), twice_the_same=bool((losses(learner())==losses(learner())).all()),
                first_loss=gpu[0].item(), last_losses={k: losses(learner(**how))[-4:].mean().item() for k, how in kinds.items()})


# ---- what it costs --------------------------------------------------------------------------------------------------

class WaitsCallback(Callback):
    "How often the host waits for the device in a step, from the third on, and where"
    order = 99
    def __init__(self, seen): self.seen = seen
    def after_batch(self):
        if self.train_iter==2:
            self.began = len(self.seen)
            torch.cuda.set_sync_debug_mode('warn')
        if self.train_iter==self.n_iter: torch.cuda.set_sync_debug_mode('default')

def waits():
    "Waits for the device in a step of training, and in 20 steps of sampling"
    def places(o): return sorted({f'{w.filename.split("/")[-1]}:{w.lineno}' for w in o})
    model = MEME.load('fashion', GPU)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        count = WaitsCallback(seen)
        losses(learner(cbs=[count]))
        train = seen[count.began:]
        torch.cuda.set_sync_debug_mode('warn')
        generate(model, 8, steps=20, cond=3)
        torch.cuda.set_sync_debug_mode('default')
    sample = seen[count.began+len(train):]
    return dict(training_step=len(train)/10, training_where=places(train), sampling=len(sample), sampling_where=places(sample))

def memory(width=192, depth=(4, 6)):
    "Peak of the device's memory while two images are drawn, in units of one expert's weights, by the number of experts that stay there"
    torch.manual_seed(0)
    experts = [UNet(1, width, mix=.5, depth=depth) for _ in range(4)]
    weights = 4*count_params(experts[0])
    def peak(folder, resident):
        base = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        generate(MEME.load(folder, GPU, resident), 2, steps=8)
        return round((torch.cuda.max_memory_allocated()-base)/weights, 3)
    with tempfile.TemporaryDirectory() as d:
        MEME(experts, IntervalRouter(4), cosine_schedule(), 'v', size=(1, 16, 16)).save(d)
        peak(d, 1)                                                        # leaves the libraries' own workspace
        return dict(weights_of_an_expert=weights, peak={k or 'all': peak(d, k) for k in (1, 2, None)})

def in_turns(jobs, rounds, warm=2):
    "Median seconds of each job, all in turns"
    took = {k: [] for k in jobs}
    for _ in range(warm+rounds):
        for k, f in jobs.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            f()
            torch.cuda.synchronize()
            took[k].append(time.perf_counter()-start)
    return {k: statistics.median(t[warm:]) for k, t in took.items()}

def models(compiled=False):
    "Each arm, as `torch.compile` leaves it with CUDA graphs or as it is"
    found = {a: untrained('fashion', a).to(GPU) for a in ARMS}
    for m in found.values():
        for e in m.experts:
            torch.nn.init.normal_(e.out.weight, std=.02)                  # zero at first; whether compiled ones draw the same would not show
            if compiled: e.compile(mode='reduce-overhead', dynamic=False)
    return found

def drawing(n, sampler='dpmpp_2m', steps=20, rounds=5, ways=('tf32', 'bfloat16')):
    "Milliseconds of an image, n at a time"
    plain, jobs, images = models(), {}, {}
    fast = models(True) if 'compiled' in ways else {}
    for a in ARMS:
        for way in ways:
            def job(a=a, way=way):
                with low() if way=='bfloat16' else nullcontext(): images[a, way] = generate((fast if way=='compiled' else plain)[a], n, sampler, steps, bs=n)
            jobs[a, way] = job
    if fast:
        for m, other in zip(plain.values(), fast.values()): other.load_state_dict(m.state_dict())
    took = in_turns(jobs, rounds)
    out = {a: {way: 1e3*took[a, way]/n for way in ways} for a in ARMS}
    return out | (dict(compiled_apart={a: apart(images[a, 'compiled'], images[a, 'tf32']) for a in ARMS}) if fast else {})

class ClockCallback(Callback):
    "When the steps from the tenth on began, and ended"
    order = 99
    def after_batch(self):
        if self.train_iter in (10, self.n_iter):
            torch.cuda.synchronize()
            self.at = [*getattr(self, 'at', []), time.perf_counter()]

def training_steps(bs, arms=('large', 'small'), n=40, ways=('float32', 'bfloat16'), before=None):
    "Milliseconds of a step of the library's own loop"
    def one(arm, precision):
        clock = ClockCallback()
        losses(learner(experts=list(untrained('fashion', arm).experts), steps=n+10, bs=bs, cbs=[clock], precision=precision, before=before))
        return 1e3*(clock.at[1]-clock.at[0])/n
    return {a: {dict(float32='tf32').get(w, w): round(one(a, w), 3) for w in ways} for a in arms}


PARTS = dict(samples=samples, training=training, waits=waits, memory=memory,
             ms_of_a_step_64=lambda: training_steps(64),
             ms_of_an_image_250=lambda: drawing(250, ways=('tf32', 'bfloat16', 'compiled')),
             ms_of_an_image_250_ddim_200=lambda: drawing(250, 'ddim', 200, 1, ('tf32',)), ms_of_an_image_2000=lambda: drawing(2000, rounds=3),
             ms_of_a_compiled_step_64=lambda: training_steps(64, ways=('float32',), before=lambda e: e.compile(dynamic=False)),
             ms_of_a_step_1024=lambda: training_steps(1024))


def main():
    facts, took = dict(command=command(), gpu=torch.cuda.get_device_name(), **machine()), {}
    for k, f in PARTS.items():
        start = time.monotonic()
        facts[k], took[k] = f(), round(time.monotonic()-start, 1)
        write('gpu', facts | dict(seconds=took))                          # part by part: what has been measured is kept
        print(f'\n{k}, {took[k]} s: {json.dumps(facts[k])}', flush=True)


if __name__=='__main__': main()
