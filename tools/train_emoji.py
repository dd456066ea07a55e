"""Train experts on 64 x 64 emoji for one task: `python tools/train_emoji.py {pixels,latents,sr,inpaint} [STEPS] [FOLDER]`

Writes the bundle (float16) to FOLDER (runs/TASK, if none is given), with checkpoints from which the same command goes on. `pixels` and `latents` are
class-conditional, for `tools/measure_latent.py`; `sr` looks at an image made 4 times smaller, for `tools/measure_super_resolution.py`; `inpaint` at an
image with a rectangle missing.
"""
import json, sys, time
from pathlib import Path
import torch
from fastai.callback.training import GradientClip
from meme_nb.data import emoji, image_dls
from meme_nb.experts import count_flops, count_params, meme_experts
from meme_nb.generate import low_res, masked
from meme_nb.latent import emoji_autoencoder, latent_images
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter
from meme_nb.schedulers import cosine_schedule, shifted
from meme_nb.training import BranchCallback, CheckpointCallback, DropLabelsCallback, ImageConditionCallback, keep_memory, meme_learner

SEED, LR = 0, 4e-3
TASKS = dict(pixels  = dict(patch=2, n_classes=9, batch=32),
             latents = dict(patch=1, n_classes=9, batch=32),
             sr      = dict(patch=2, cond_ch=3, batch=16),
             inpaint = dict(patch=2, cond_ch=4, batch=16))
LOOKS = dict(sr=low_res(4, .01), inpaint=masked())      # what an expert sees beside the noisy image


def learner(task, steps, out):
    kw = dict(TASKS[task])
    batch, ae, train = kw.pop('batch'), None, emoji('train', 64)
    if task=='latents':
        ae = emoji_autoencoder()
        train = latent_images(train, ae, flip=True)
    torch.manual_seed(SEED)
    dls = image_dls(train, batch, train[torch.arange(64)], n_batches=steps, seed=SEED, flip=task!='latents')
    experts = meme_experts(4, train.channels, 32, mult=(1,2), depth=(1,1), **kw)
    # what an enlargement lacks is faint, so super-resolution spends more time-steps where there is little noise
    schedule = shifted(cosine_schedule(), .25) if task=='sr' else cosine_schedule()
    cbs = [GradientClip(1.), BranchCallback(.5), CheckpointCallback(out/'checkpoints', 500, resume=True)]
    if 'n_classes' in kw: cbs.append(DropLabelsCallback(.1))
    if task in LOOKS: cbs.append(ImageConditionCallback(LOOKS[task]))
    return meme_learner(dls, MEME(experts, IntervalRouter(4), schedule, 'v', autoencoder=ae), cbs, decay=.998, seed=SEED)


def main(task, steps=4000, out=None):
    out, steps, start = Path(out or f'runs/{task}'), int(steps), time.monotonic()
    keep_memory()
    learn = learner(task, steps, out)
    with learn.no_logging(): learn.fit_one_cycle(1, LR, pct_start=.05, moms=(.9,.9,.9))
    model = learn.averaged()
    model.save(out, dtype=torch.float16)
    facts = dict(task=task, steps=learn.train_iter, batch=TASKS[task]['batch'], seed=SEED, seconds=round(time.monotonic()-start),
                 parameters=[count_params(e) for e in model.experts], macs=[count_flops(e, model.size)//2 for e in model.experts],
                 loss=[round(learn.expert_losses.curve(k)[1][-100:].mean().item(), 4) for k in range(4)],
                 torch=torch.__version__, threads=torch.get_num_threads(), date=time.strftime('%Y-%m-%d'))
    (out/'training.json').write_text(json.dumps(facts, indent=1)+'\n')
    print(json.dumps(facts))


if __name__=='__main__': main(*sys.argv[1:])
