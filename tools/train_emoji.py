"""Train experts on 64 x 64 emoji for one task: `python tools/train_emoji.py {pixels,latents,sr,inpaint} [STEPS] [FOLDER]`

Writes the bundle (float16) to FOLDER (runs/TASK, if none is given), with checkpoints from which the same command goes on. `pixels` and `latents` are
class-conditional, for `tools/measure_latent.py`; `sr` looks at an image made 4 times smaller, for `tools/measure_super_resolution.py`; `inpaint` at an image with a rectangle missing.
"""
import json, sys, time
from pathlib import Path
import torch
from fastai.callback.training import GradientClip
from meme_nb.data import emoji, image_dls
from meme_nb.experts import count_flops, count_params, meme_experts
from meme_nb.generate import low_res, masked
from meme_nb.model import MEME
from meme_nb.router import IntervalRouter
from meme_nb.schedulers import cosine_schedule, shifted
from meme_nb.training import BranchCallback, CheckpointCallback, DropLabelsCallback, ImageConditionCallback, keep_memory, meme_learner

seed, lr = 0, 4e-3
tasks = dict(pixels=dict(patch=2, n_classes=9, bs=32), latents=dict(patch=1, n_classes=9, bs=32), sr=dict(patch=2, cond_ch=3, bs=16), inpaint=dict(patch=2, cond_ch=4, bs=16))

def learner(task, steps, out, patch, bs, **kw):
    autoencoder, train = None, emoji('train', 64)
    if task=='latents':
        from meme_nb.latent import emoji_autoencoder, latent_images
        autoencoder = emoji_autoencoder(); train = latent_images(train, autoencoder, flip=True)
    torch.manual_seed(seed); dls = image_dls(train, bs, train[torch.arange(64)], n_batches=steps, seed=seed, flip=task!='latents')
    in_ch = dls.one_batch()[0].shape[1]; router = IntervalRouter(4)
    # what an enlargement lacks is faint, so super-resolution spends more time-steps where there is little noise
    schedule = shifted(cosine_schedule(), .25) if task=='sr' else cosine_schedule()
    model = MEME(meme_experts(4, in_ch, 32, mult=(1,2), depth=(1,1), patch=patch, **kw), router, schedule, 'v', autoencoder=autoencoder)
    look = dict(sr=lambda: low_res(4, .01), inpaint=masked).get(task)
    cbs = [GradientClip(1.), BranchCallback(.5), CheckpointCallback(out/'checkpoints', 500, resume=True), *([DropLabelsCallback(.1)] if 'n_classes' in kw else []), *([ImageConditionCallback(look())] if look else [])]
    return meme_learner(dls, model, cbs, decay=.998, seed=seed)

def main(task, steps=4000, out=None):
    out, steps = Path(out or f'runs/{task}'), int(steps); keep_memory(); learn = learner(task, steps, out, **tasks[task]); start = time.monotonic()
    with learn.no_logging(): learn.fit_one_cycle(1, lr, pct_start=.05, moms=(.9,.9,.9))
    model = learn.averaged(); model.save(out, dtype=torch.float16)
    facts = dict(task=task, steps=learn.train_iter, batch=tasks[task]['bs'], seed=seed, seconds=round(time.monotonic()-start), parameters=[count_params(e) for e in model.experts], macs=[count_flops(e, model.size)//2 for e in model.experts],
                 loss=[round(learn.expert_losses.curve(k)[1][-100:].mean().item(), 4) for k in range(4)], torch=torch.__version__, threads=torch.get_num_threads(), date=time.strftime('%Y-%m-%d'))
    (out/'training.json').write_text(json.dumps(facts, indent=1)+'\n'); print(json.dumps(facts))

if __name__=='__main__': main(*sys.argv[1:])
