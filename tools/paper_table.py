"""The paper's table at our scale: `apt-get install dataset-fashion-mnist; python tools/paper_table.py {fashion,emoji} [ARM ...] [--seeds N] [--budget PFLOP] [--lr RATE]`

Every arm gets the same operations for training (PFLOP of forward and backward, all experts together) and the same sampling: DDIM with 200 steps, as in
the paper, and DPM-Solver++(2M) with 20. An arm that is done leaves nbs/images/table/DATA_ARM_SEED.json and is not done again; one that was cut off goes
on where it was. With no ARM, all arms in their order, seed by seed; so the command may be run again and again until nothing is left to do.
`python tools/paper_table.py tune DATA` chooses learning rates with a quarter of the operations, `... time DATA` measures seconds and memory of a sample for all arms that are done, in one run, in turns.
"""
import argparse, json, os, statistics, sys, time
from pathlib import Path
import torch
from fastai.callback.training import GradientClip
from meme_nb.analysis import loss_matrix
from meme_nb.data import emoji, fashion_mnist, image_dls
from meme_nb.experts import UNet, count_flops, count_params, meme_experts
from meme_nb.generate import generate
from meme_nb.metrics import report
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter, LearnedRouter, TableRouter, complexity, complexity_boundaries, search_router, snr_boundaries
from meme_nb.schedulers import cosine_schedule
from meme_nb.training import BranchCallback, CheckpointCallback, keep_memory, meme_learner

root = Path(__file__).parent.parent
out, runs = root/'nbs'/'images'/'table', Path('runs')/'table'
schedule, bs, small, large, kind = cosine_schedule(), 64, 32, 64, dict(mult=(1,2), depth=(1,1), patch=2)
decreasing, hard, constant = (.8,.4,.2,.1), (1.,)*4, (.375,)*4

def unets(n, width=small, mix=1.): return lambda ch: [UNet(ch, width, mix=mix, **kind) for _ in range(n)]
def iunets(ch): return meme_experts(4, ch, small, **kind)
def one(*_): return IntervalRouter(1)
def equal(*_): return IntervalRouter(4)
def by_snr(*_): return IntervalRouter(4, boundaries=snr_boundaries(4, schedule))
def by_complexity(data, seed, x0):
    light = MEME.load(runs/f'{data}_iunet_{seed}').denoiser(threshold=None)
    return IntervalRouter(4, boundaries=complexity_boundaries(4, complexity(light, schedule, x0, 50, torch.Generator().manual_seed(0)), schedule.T))
def learned(*_): return LearnedRouter(4, schedule.T, schedule)

# name = experts of so many channels, router, own-interval probabilities, share of the generalist
arms = dict(large = (unets(1, large), one, (0.,), 0),
            small = (unets(1), one, (0.,), 0),
            iunet = (unets(1, mix=.5), one, (0.,), 0),
            same_soft = (unets(4), equal, decreasing, 0),
            meme = (iunets, equal, decreasing, 0),
            meme_branch = (iunets, equal, decreasing, .5),
            same_hard = (unets(4), equal, hard, 0),
            meme_hard = (iunets, equal, hard, 0),
            meme_constant = (iunets, equal, constant, 0),
            meme_snr = (iunets, by_snr, decreasing, 0),
            meme_complexity = (iunets, by_complexity, decreasing, 0),
            meme_learned = (iunets, learned, None, 0),
            meme_snr_branch = (iunets, by_snr, decreasing, .5),
            searched = (lambda ch: [UNet(ch, w, mix=.5, **kind) for w in (small, small//2)], lambda *_: IntervalRouter(2), (0.,0.), 0),
            stitch = None)
papers = 'large small iunet same_soft meme meme_branch'.split()           # these are run with all seeds, the others with the first

def images(data):
    "Training and test images of 32 x 32"
    folder = '/usr/share/datasets/fashion-mnist'
    return tuple(fashion_mnist(s, 32, folder) if data=='fashion' else emoji(s, 32) for s in ('train','test'))

def flops(model): return [count_flops(e, model.size) for e in model.experts]

def unlabelled(x): return type(x)(x.x, name=x.name)

def train(data, arm, seed, budget, lr, folder=None):
    "The averaged model after `budget` operations, and what the training was"
    make, router, p, share = arms[arm]; train, _ = map(unlabelled, images(data)); folder = folder or runs/f'{data}_{arm}_{seed}'; torch.manual_seed(seed); x0 = train.batch(torch.arange(0, len(train), len(train)//128)[:128])[0]
    model = MEME(make(train.channels), router(data, seed, x0), schedule, 'v', size=(train.channels,32,32)); each = statistics.mean(flops(model)); steps = round(budget/(3*bs*each))
    cbs = [GradientClip(1.), CheckpointCallback(folder/'checkpoints', 500, resume=True), *([BranchCallback(share)] if share else [])]
    learn = meme_learner(image_dls(train, bs, train[torch.arange(64)], n_batches=steps, seed=seed, flip=data=='emoji'), model, cbs, p=p, seed=seed, decay=1-10/(steps/len(model.experts)+10)); start = time.monotonic()
    with learn.no_logging(): learn.fit_one_cycle(1, lr, pct_start=.05)
    m = learn.averaged()
    if arm=='searched':           # half of what the larger one would cost everywhere
        loss = loss_matrix(m, train, bins=50, n=256); m = MEME(list(m.experts), search_router(loss, flops(m), .5*50*flops(m)[0], switches=2), schedule, 'v', size=m.size)
    if arm=='meme_learned': m = MEME(list(m.experts), m.router.to_intervals(), schedule, 'v', size=m.size)
    m.save(folder); return m, dict(steps=steps, lr=lr, seconds_of_last_leg=round(time.monotonic()-start))

def stitched(data, seed):
    "T-Stitch (arXiv 2402.14167): the small single model for the noisiest 40 % of the axis, then the large one; both are trained already"
    two = [MEME.load(runs/f'{data}_{a}_{seed}').experts[0] for a in ('large','small')]; ch = images(data)[0].channels
    return MEME(two, IntervalRouter(2, boundaries=[600]), schedule, 'v', size=(ch,32,32)), dict(steps=0, note='twice the training of the other arms')

def quality(model, data, seed, sampler, steps, n):
    "How far n samples are from as many test images, and training images from these"
    train, test = images(data); n = min(n, len(test)); start = time.monotonic(); x = generate(model, n, sampler, steps, seed=1_000_000*(seed+1))
    return dict(sampler=sampler, steps=steps, seconds=round(time.monotonic()-start), **report(x, test[torch.arange(n)], train))

def one_run(data, arm, seed, budget, lr):
    file = out/f'{data}_{arm}_{seed}.json'
    if file.is_file(): return
    print(f'\n{data}, {arm}, seed {seed}', flush=True); model, how = stitched(data, seed) if arm=='stitch' else train(data, arm, seed, budget, lr); each = flops(model); table = model.router.table
    facts = dict(data=data, arm=arm, seed=seed, budget=budget, batch=bs, **how, weights=[count_params(e) for e in model.experts], macs=[f//2 for f in each], macs_a_step=sum(each[k] for k in table.tolist())/len(table)/2, router=model.router.config['kind'],
                 intervals=TableRouter(table, len(each)).intervals, rows=[quality(model, data, seed, 'dpmpp_2m', 20, 5000), quality(model, data, seed, 'ddim', 200, 2000)],
                 torch=torch.__version__, threads=torch.get_num_threads(), cores=os.cpu_count(), date=time.strftime('%Y-%m-%d'), command=f'python tools/paper_table.py {data} {arm}')
    out.mkdir(exist_ok=True); file.write_text(json.dumps(facts, indent=1)+'\n'); print(json.dumps(facts['rows']), flush=True)

def tune(data, budget):
    "The best learning rate of each size, by the held-out loss of single models after a quarter of the operations"
    _, test = map(unlabelled, images(data)); file = out/f'{data}_rates.json'; tried = json.loads(file.read_text()) if file.is_file() else {}; out.mkdir(exist_ok=True)
    for arm in ('small','large'):
        for lr in (2.5e-3, 5e-3, 1e-2):
            if f'{arm} {lr}' in tried: continue
            m, _ = train(data, arm, 0, budget/4, lr, runs/f'tune_{data}_{arm}_{lr}'); tried[f'{arm} {lr}'] = loss_matrix(m, test, bins=20, n=500).mean().item(); print(tried, flush=True)
            for a in ('small','large'):
                mine = {float(k.split()[1]):v for k,v in tried.items() if k.startswith(a+' ')}
                if mine: tried[a] = min(mine, key=mine.get)
            file.write_text(json.dumps(tried, indent=1)+'\n')

def timed(data, n=64, rounds=5):
    "Seconds of an image, by 20 steps of DPM-Solver++, for each arm of seed 0 that is done: in turns, medians"
    done = {a:MEME.load(runs/f'{data}_{a}_0') if a!='stitch' else stitched(data, 0)[0] for a in arms if (out/f'{data}_{a}_0.json').is_file()}; took = {a:[] for a in done}
    for _ in range(rounds):
        for a,m in done.items(): start = time.perf_counter(); generate(m, n, steps=20); took[a].append((time.perf_counter()-start)/n)
    facts = dict(seconds_an_image={a:statistics.median(t) for a,t in took.items()}, steps=20, sampler='dpmpp_2m', batch=n, threads=torch.get_num_threads(), torch=torch.__version__, date=time.strftime('%Y-%m-%d'), command=f'python tools/paper_table.py time {data}')
    (out/f'{data}_time.json').write_text(json.dumps(facts, indent=1)+'\n'); print(json.dumps(facts, indent=1))

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter); a.add_argument('data', choices=['fashion','emoji','time','tune']); a.add_argument('arms', nargs='*'); a.add_argument('--seeds', type=int, default=3)
    a.add_argument('--budget', type=float, default=.06, help='PFLOP'); a.add_argument('--lr', type=float, help='instead of the tuned one'); o = a.parse_args(); keep_memory()
    if o.data in ('time','tune'): return [timed(d) if o.data=='time' else tune(d, o.budget*1e15) for d in o.arms or ['fashion']]
    unknown = [n for n in o.arms if n not in arms]
    if unknown: raise SystemExit(f'No arm is called {", ".join(unknown)}: there are {", ".join(arms)}.')
    file = out/f'{o.data}_rates.json'; rates = json.loads(file.read_text()) if file.is_file() else {}
    for seed in range(o.seeds):
        for arm in o.arms or arms:
            if seed==0 or arm in papers: one_run(o.data, arm, seed, o.budget*1e15, o.lr or rates.get('large' if arm=='large' else 'small', 5e-3))

if __name__=='__main__': main()
