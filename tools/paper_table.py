"""The paper's table at our scale: `apt-get install dataset-fashion-mnist; python tools/paper_table.py {fashion,emoji} [ARM ...] [--seeds 0,1,2]`

Every arm gets the same operations for training, forward and backward, all experts together (but those of a QUARTER, and the stitched one, which is made
of two), and is judged by the same sampling:
DPM-Solver++(2M) with 20 steps; those of the paper, with seed 0, also by DDIM with 200, as there. An arm that is done leaves
nbs/images/table/DATA_ARM_SEED.json with a picture, and is not done again; one that was cut off goes on where it was. With no ARM, all arms in their
order, seed by seed; so the command may be run again and again until nothing is left to do. Bundles stay in runs/table/DATA_ARM_SEED.

Before: `python tools/paper_table.py tune DATA` chooses learning rates with a quarter of the operations.
After: `... time DATA` measures seconds and memory of a sample for all arms that are done, in one run, in turns; `... why DATA` looks into the experts of
three arms: the spectra of their feature maps, and who is good where; `... best DATA` makes the bundle of the best arm of experts, if it is not there, and
sets what `meme_eval` says of it beside the table's figures.
"""
import argparse, json, math, statistics, subprocess, sys, tempfile, time
from functools import cache
from pathlib import Path
import torch
from PIL import Image
from fastai.callback.training import GradientClip
from meme_nb.analysis import feature_spectra, hand_overs, loss_matrix
from meme_nb.data import debian_fashion, emoji, fashion_mnist, image_dls, image_grid
from meme_nb.experts import UNet, count_flops, count_params, meme_experts
from meme_nb.generate import generate
from meme_nb.metrics import report
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter, LearnedRouter, TableRouter, complexity, complexity_boundaries, search_router, snr_boundaries
from meme_nb.schedulers import cosine_schedule
from meme_nb.training import BranchCallback, CheckpointCallback, keep_memory, meme_learner
from record import IMAGES, machine, write

OUT, RUNS = IMAGES/'table', Path('runs')/'table'
SCHEDULE, BATCH, NARROW, SMALL, LARGE = cosine_schedule(), 64, 20, 32, 64
PFLOP = dict(fashion=.06, emoji=.03)                                     # of training an arm
SEED = 1_000_000                                                         # of the first sample of a run with seed 0
KIND = dict(mult=(1, 2), depth=(1, 1), patch=2)
DECREASING, HARD, CONSTANT = (.8, .4, .2, .1), (1.,)*4, (.375,)*4
SAMPLERS = dict(fast=('dpmpp_2m', 20, 5000), papers=('ddim', 200, 2000))      # name, steps, images


# ---- arms: experts, router, probabilities of the own interval, share of steps of a common ancestor -----------------

def unets(n, width=SMALL, mix=1.): return lambda ch: [UNet(ch, width, mix=mix, **KIND) for _ in range(n)]
def iunets(ch, width=SMALL): return meme_experts(4, ch, width, **KIND)
def narrow(ch): return iunets(ch, NARROW)
def two_sizes(ch): return [UNet(ch, width, mix=.5, **KIND) for width in (SMALL, SMALL//2)]

def intervals(n): return lambda data, seed, x0: IntervalRouter(n)
def by_snr(data, seed, x0): return IntervalRouter(4, boundaries=snr_boundaries(4, SCHEDULE))
def learned(data, seed, x0): return LearnedRouter(4, SCHEDULE.T, SCHEDULE)

def by_complexity(data, seed, x0):
    "Borders by what the single iU-Net has learned"
    light = MEME.load(bundle(data, 'iunet', seed)).denoiser(threshold=None)
    turning = complexity(light, SCHEDULE, x0, 50, torch.Generator().manual_seed(0))
    return IntervalRouter(4, boundaries=complexity_boundaries(4, turning, SCHEDULE.T))

ARMS = dict(
    large           = (unets(1, LARGE), intervals(1), (0.,), 0),
    small           = (unets(1), intervals(1), (0.,), 0),
    iunet           = (unets(1, mix=.5), intervals(1), (0.,), 0),
    same_soft       = (unets(4), intervals(4), DECREASING, 0),
    meme            = (iunets, intervals(4), DECREASING, 0),
    meme_branch     = (iunets, intervals(4), DECREASING, .5),
    meme_late       = (iunets, intervals(4), DECREASING, .8),
    small_quarter   = (unets(1), intervals(1), (0.,), 0),
    iunet_quarter   = (unets(1, mix=.5), intervals(1), (0.,), 0),
    same_hard       = (unets(4), intervals(4), HARD, 0),
    meme_hard       = (iunets, intervals(4), HARD, 0),
    meme_constant   = (iunets, intervals(4), CONSTANT, 0),
    meme_snr        = (iunets, by_snr, DECREASING, 0),
    meme_complexity = (iunets, by_complexity, DECREASING, 0),
    meme_learned    = (iunets, learned, None, 0),
    learned_branch  = (iunets, learned, None, .5),
    same_branch     = (unets(4), intervals(4), DECREASING, .5),
    same_late       = (unets(4), intervals(4), DECREASING, .8),
    meme_narrow     = (narrow, intervals(4), DECREASING, .5),
    narrow_late     = (unets(4, NARROW), intervals(4), DECREASING, .8),
    small_narrow    = (unets(1, NARROW), intervals(1), (0.,), 0),
    complexity_branch = (iunets, by_complexity, DECREASING, .5),
    searched        = (two_sizes, intervals(2), (0., 0.), 0),
    stitch          = None)                                       # made of two others
# as many steps as the large one with a quarter of the operations, as the paper's small ones
QUARTER = 'small_quarter', 'iunet_quarter'
SINGLE = 'large', 'small', 'iunet', 'small_narrow', *QUARTER
# these are run with all seeds, the others with the first
PAPERS = 'large small iunet same_soft meme meme_branch'.split()


# ---- one arm --------------------------------------------------------------------------------------------------------

@cache
def images(data):
    "Training and test images of 32 x 32, without labels"
    both = [fashion_mnist(s, 32, debian_fashion) if data=='fashion' else emoji(s, 32) for s in ('train', 'test')]
    return [type(o)(o.x, name=o.name) for o in both]

def operations(data, arm): return 1e15*PFLOP[data]*(.25 if arm in QUARTER else 1)

def flops(model): return [count_flops(e, model.size) for e in model.experts]

def train(data, arm, seed, lr, folder=None, share=1):
    "The averaged model after all operations, or a `share` of them, and what the training was"
    make, router, p, ancestor = ARMS[arm]
    folder, train = folder or RUNS/f'{data}_{arm}_{seed}', images(data)[0]
    torch.manual_seed(seed)
    x0, = train.batch(torch.arange(0, len(train), len(train)//128)[:128])[:1]
    model = MEME(make(train.channels), router(data, seed, x0), SCHEDULE, 'v', size=(train.channels, 32, 32))
    budget = operations(data, arm)*share
    asked = 2-ancestor if isinstance(model.router, LearnedRouter) else 1   # experts for each sample: a router that learns shows it to two
    steps = round(budget/(3*BATCH*asked*statistics.mean(flops(model))))    # a backward pass costs two forward ones
    cbs = [GradientClip(1.), CheckpointCallback(folder/'checkpoints', 500, resume=True)] + ([BranchCallback(ancestor)] if ancestor else [])
    dls = image_dls(train, BATCH, train[torch.arange(64)], n_batches=steps, seed=seed, flip=data=='emoji')
    learn = meme_learner(dls, model, cbs, p=p, seed=seed, decay=1-10/(steps/len(model.experts)+10))
    start = time.monotonic()
    with learn.no_logging(): learn.fit_one_cycle(1, lr, pct_start=.05)
    if learn.train_iter<steps: raise SystemExit(f'Stopped after {learn.train_iter} of {steps} steps: the same command goes on from there.')
    model = finish(arm, learn.averaged(), train)
    model.save(folder)
    return model, dict(budget=budget, steps=steps, lr=lr, seconds_of_last_leg=round(time.monotonic()-start))

def finish(arm, m, images):
    "The model as it is sampled from: routers become tables"
    if isinstance(m.router, LearnedRouter): return MEME(list(m.experts), m.router.to_intervals(), SCHEDULE, 'v', size=m.size)
    if arm!='searched': return m
    loss, cost = loss_matrix(m, images, bins=50, n=256), flops(m)
    table = search_router(loss, cost, .5*50*cost[0], switches=2)       # half of what the larger one would cost everywhere
    return MEME(list(m.experts), table, SCHEDULE, 'v', size=m.size)

def bundle(data, arm, seed=0):
    "The folder of an arm's bundle, trained again if only its figures are left"
    folder, file = RUNS/f'{data}_{arm}_{seed}', OUT/f'{data}_{arm}_{seed}.json'
    if (folder/'config.json').is_file(): return folder
    if not file.is_file(): raise SystemExit(f'{arm} comes first: python tools/paper_table.py {data} {arm} --seeds {seed}')
    o = json.loads(file.read_text())
    train(data, arm, seed, o['lr'])
    return folder

def stitched(data, seed):
    "T-Stitch (arXiv 2402.14167): the small single model for the noisiest 40 % of the axis, then the large one; both are trained already"
    two = [MEME.load(bundle(data, a, seed)) for a in ('large', 'small')]
    return MEME([m.experts[0] for m in two], IntervalRouter(2, boundaries=[600]), SCHEDULE, 'v', size=two[0].size)

def quality(model, data, seed, sampler, steps, n):
    "How far n samples are from as many test images, and training images from these"
    train, test = images(data)
    n, start = min(n, len(test)), time.monotonic()
    x = generate(model, n, sampler, steps, seed=SEED*(seed+1))
    seconds = round(time.monotonic()-start)
    return dict(sampler=sampler, steps=steps, seconds=seconds, **report(x, test[torch.arange(n)], train))

def picture(model, file, seed, n=12):
    "The first n of the samples that were judged, in one row"
    image_grid(generate(model, n, *SAMPLERS['fast'][:2], seed=SEED*(seed+1)), n, scale=1).save(file, optimize=True)

def one_run(data, arm, seed, lr):
    "Train and judge one arm, and write what came out"
    file = OUT/f'{data}_{arm}_{seed}.json'
    if file.is_file(): return
    print(f'\n{data}, {arm}, seed {seed}', flush=True)
    if arm=='stitch': model, how = stitched(data, seed), dict(budget=2*operations(data, arm), steps=0)
    else: model, how = train(data, arm, seed, lr)
    each, table = flops(model), model.router.table
    plain = TableRouter(table, len(each))
    facts = dict(data=data, arm=arm, seed=seed, batch=BATCH, **how,
                 weights=[count_params(e) for e in model.experts], macs=[f//2 for f in each],
                 macs_a_step=sum(each[k] for k in table.tolist())/len(table)/2,
                 router=model.router.config['kind'], intervals=plain.intervals, owners=plain.owners,
                 rows={k: quality(model, data, seed, *how) for k, how in SAMPLERS.items() if k=='fast' or seed==0 and arm in PAPERS},
                 **machine(), command=f'python tools/paper_table.py {data} {arm}')
    picture(model, file.with_suffix('.png'), seed)
    write(f'table/{file.stem}', facts)
    print({k: (r['FD'], r['KD']) for k, r in facts['rows'].items()}, flush=True)


# ---- learning rates, times ------------------------------------------------------------------------------------------

def tune(data):
    """The best learning rate of each size, by the held-out loss of single models after a quarter of the operations: doubled or halved until the best has
    worse ones on both sides"""
    file = OUT/f'{data}_rates.json'
    tried = json.loads(file.read_text()) if file.is_file() else {}
    for arm in ('small', 'large'):
        best = .01
        for _ in range(6):
            around = [r for r in (best, best/2, best*2) if f'{arm} {r:g}' not in tried]
            if not around: break
            m, _ = train(data, arm, 0, around[0], RUNS/f'tune_{data}_{arm}_{around[0]:g}', share=.25)
            tried[f'{arm} {around[0]:g}'] = loss_matrix(m, images(data)[1], bins=20, n=500).mean().item()
            rates = {float(k.split()[1]): v for k, v in tried.items() if k.startswith(arm+' ')}
            tried[arm] = best = min(rates, key=rates.get)
            write(f'table/{file.stem}', tried)
            print(tried, flush=True)

def untrained(data, arm):
    "The model of an arm that is done, with weights as they are drawn at first: what it costs does not depend on what it has learned"
    channels, run = images(data)[0].channels, json.loads((OUT/f'{data}_{arm}_0.json').read_text())
    experts = [e for a in (['large', 'small'] if arm=='stitch' else [arm]) for e in ARMS[a][0](channels)]
    table = torch.cat([torch.full((hi-lo,), k) for (lo, hi), k in zip(run['intervals'], run['owners'])])
    return MEME(experts, TableRouter(table, len(experts)), SCHEDULE, 'v', size=(channels, 32, 32))

def step_seconds(expert, channels):
    "Seconds of one training step on one batch: forward, backward, update; the second one, since the first makes room for the update"
    x, t = torch.randn(BATCH, channels, 32, 32), torch.full((BATCH,), 500)
    optimiser = torch.optim.AdamW(expert.train().parameters(), fused=True)
    for _ in range(2):
        start = time.perf_counter()
        expert(x, t).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    return time.perf_counter()-start

def alike(models):
    "Name of each model to the first one that costs the same: equal experts for equal shares of the time-steps"
    found = {}
    def cost(m): return str(sorted((str(e.config), int((m.router.table==k).sum())) for k, e in enumerate(m.experts)))
    return {a: found.setdefault(cost(m), a) for a, m in models.items()}

def peak(folder, resident):
    "Peak memory of drawing 16 images in a process of its own, in MB, beyond that of a process which only loads the library"
    draw = f"generate('{folder}', 16, steps=20, resident={resident})" if folder else 'None'
    high_water = "re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]"
    code = f'import re, torch; from meme_nb.generate import generate; {draw}; print("\\n", {high_water})'
    return int(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()[-1])/1e3

def timed(data, n=64, rounds=11):
    """Seconds of an image, and minutes of training, for each arm of seed 0 that is done, in turns, medians; peak memory with all experts loaded, and with
    one. Arms that cost the same are measured together, as one."""
    every = {a: untrained(data, a) for a in ARMS if (OUT/f'{data}_{a}_0.json').is_file()}
    same = alike(every)
    arms = {a: m for a, m in every.items() if same[a]==a}
    took, slow, steps = ({a: [] for a in arms} for _ in range(3))
    def draw(m, *how):
        start = time.perf_counter()
        generate(m, n, *how)
        return (time.perf_counter()-start)/n
    for _ in range(rounds):
        for a, m in arms.items(): took[a].append(draw(m, 'dpmpp_2m', 20))
    for _ in range(3):
        for a in ('large', 'meme'): slow[a].append(draw(arms[a], 'ddim', 200))      # the paper's own protocol
    base, memory = peak(None, None), {}
    for a, m in arms.items():
        with tempfile.TemporaryDirectory() as d:
            m.save(d)
            memory[a] = dict(all=peak(d, None)-base, one=peak(d, 1)-base)
    for _ in range(5):
        for a, m in arms.items(): steps[a].append(statistics.mean(step_seconds(e, m.size[0]) for e in m.experts))
    def minutes(a): return statistics.median(steps[same[a]])*operations(data, a)/(3*BATCH*statistics.mean(flops(every[a])))/60
    facts = dict(seconds_an_image={a: statistics.median(took[o]) for a, o in same.items()},
                 quartiles={a: statistics.quantiles(t)[::2] for a, t in took.items()},
                 seconds_an_image_ddim_200={a: statistics.median(slow[a]) for a in ('large', 'meme')}, peak_MB={a: memory[o] for a, o in same.items()},
                 minutes_of_training={a: minutes(a) for a in every if a!='stitch'}, steps=20, sampler='dpmpp_2m', batch=n, **machine(),
                 command=f'python tools/paper_table.py time {data}')
    write(f'table/{data}_time', facts)
    print(json.dumps(facts, indent=1))


def why(data, n=128):
    "Spectra of each expert's feature maps in the middle of its own part of the axis, losses (experts, 20), hand-overs"
    test, facts = images(data)[1], {}
    x0 = test.batch(torch.arange(n))[0]
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    for arm in [a for a in ('same_soft', 'meme', 'meme_branch') if (OUT/f'{data}_{a}_0.json').is_file()]:
        m = MEME.load(bundle(data, arm))
        ts = [125, 375, 625, 875]
        spectra = [feature_spectra(m.experts[m.expert_for(t)].eval(), SCHEDULE.add_noise(x0, noise, t), torch.full((n,), t)) for t in ts]
        rounded = [{layer: [round(o, 4) for o in v.tolist()] for layer, (_, v) in found.items()} for found in spectra]
        facts[arm] = dict(t=ts, spectra=rounded, loss=loss_matrix(m, test, bins=20, n=500).tolist(), hand_overs=hand_overs(m, test, 256))
    write(f'table/{data}_why', facts | dict(n=n, **machine(), command=f'python tools/paper_table.py why {data}'), indent=None)


def eval_of(folder, other, n, seed):
    "What `meme_eval` says of n images of a bundle, from `seed` on, beside `other` ones"
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(['meme_eval', folder, other, '--n', str(n), '--seed', str(seed), '--out', d, '--force'], check=True)
        return json.loads((Path(d)/'report.json').read_text())

def as_folder(images, folder):
    "The folder, with a PNG for each image"
    for i, x in enumerate(images.x.numpy()): Image.fromarray(x.squeeze()).save(Path(folder)/f'{i:05d}.png')
    return folder

def best(data):
    """The arm of experts with the lowest FD as a bundle, and what `meme_eval` says of it beside the table's figures: of the table's own samples and test
    images; of these samples, with its own choice of test images (it draws n from all there are; the table's are the first n); and of other samples."""
    runs = {a: json.loads((OUT/f'{data}_{a}_0.json').read_text()) for a in ARMS if (OUT/f'{data}_{a}_0.json').is_file()}
    arm = min((a for a in runs if a not in (*SINGLE, 'stitch')), key=lambda a: runs[a]['rows']['fast']['FD'])
    table, folder, keys = runs[arm]['rows']['fast'], bundle(data, arm), ('FD', 'KD', 'KD_se', 'precision', 'recall', 'n')
    facts = dict(arm=arm, bytes=sum(f.stat().st_size for f in folder.glob('*.*')), table={k: table[k] for k in keys})
    real = debian_fashion if data=='fashion' else data
    with tempfile.TemporaryDirectory() as d:
        same = as_folder(images(data)[1][torch.arange(table['n'])], d)
        for name, (other, seed) in dict(same=(same, SEED), same_samples=(real, SEED), others=(real, 0)).items():
            found = eval_of(folder, other, table['n'], seed)
            apart = abs(found['KD']-table['KD'])/math.hypot(found['KD_se'], table['KD_se'])
            facts[name] = {k: found[k] for k in keys} | dict(standard_errors_apart=apart)
    write(f'table/{data}_best', facts | dict(**machine(), command=f'python tools/paper_table.py best {data}'))
    print(json.dumps(facts, indent=1), f'\n{folder}: the bundle of {arm}')


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('what', choices=['fashion', 'emoji', 'tune', 'time', 'why', 'best'])
    a.add_argument('names', nargs='*', help='arms; for tune, time, why and best, data')
    a.add_argument('--seeds', default='0,1,2', help='numbers with commas between')
    o = a.parse_args()
    keep_memory()
    others = dict(tune=tune, time=timed, why=why, best=best)
    if o.what in others: return [others[o.what](d) for d in o.names or ['fashion']]
    unknown = [n for n in o.names if n not in ARMS]
    if unknown: raise SystemExit(f'No arm is called {", ".join(unknown)}: there are {", ".join(ARMS)}.')
    file = OUT/f'{o.what}_rates.json'
    rates = json.loads(file.read_text()) if file.is_file() else {}
    for seed in map(int, o.seeds.split(',')):
        for arm in o.names or ARMS:
            lr = rates.get('large' if arm=='large' else 'small', 5e-3)
            if seed==0 or o.names or arm in PAPERS: one_run(o.what, arm, seed, lr)


if __name__=='__main__': main()
