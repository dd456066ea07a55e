"""Train the autoencoder of `meme_nb.latent` on 64 x 64 emoji: `python tools/train_autoencoder.py [STEPS] [FOLDER]`

Writes the weights (float16) and their record into FOLDER (meme_nb/assets, if none is given). What goes on is printed every 250 steps, with the
PSNR on the test emoji; the record has that of the weights that were written.
"""
import hashlib, json, sys, time
from pathlib import Path
import torch
from safetensors.torch import save
from meme_nb.data import assets, emoji
from meme_nb.experts import count_params
from meme_nb.latent import Autoencoder, _load_autoencoder, fit_autoencoder, fit_linear, psnr, reconstruct
from meme_nb.training import keep_memory
from record import command, machine

SEED, BATCH, LR, KL = 0, 32, 3e-3, 1e-6


def main(steps=2500, folder=assets):
    steps, folder, train, test, start = int(steps), Path(folder), emoji('train', 64), emoji('test', 64), time.monotonic()
    keep_memory()
    torch.manual_seed(SEED)
    model = fit_linear(Autoencoder(), train)
    def quality(m): return float(psnr(reconstruct(m, test), test))
    linear = quality(model)
    print(f'principal components: {linear:.2f} dB', flush=True)
    def report(i, loss):
        if (i+1)%250: return
        print(f'step {i+1} of {steps}: loss {loss:.5f}, {quality(model):.2f} dB, {time.monotonic()-start:.0f} s', flush=True)
    fit_autoencoder(model, train, steps, BATCH, LR, KL, SEED, report)
    raw = save({k: v.half().contiguous() for k, v in model.state_dict().items()})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder/'emoji_autoencoder.safetensors'
    file.write_bytes(raw)
    record = dict(purpose='Autoencoder of 64 x 64 emoji (meme_nb.latent)', command=command(), config=model.config, sha256=hashlib.sha256(raw).hexdigest(),
                  steps=steps, batch=BATCH, lr=LR, kl=KL, seed=SEED, parameters=count_params(model), train_images=len(train),
                  seconds=round(time.monotonic()-start), **machine(), n=len(test), psnr_linear=round(linear, 3))
    def write(**more): file.with_suffix('.json').write_text(json.dumps(record | more, indent=1)+'\n')
    write()                                                                         # which loading needs,
    written = quality(_load_autoencoder(folder))                                    # and what is measured is what was saved
    write(psnr=round(written, 3))
    print(f'{written:.2f} dB on {len(test)} test emoji; {file.name} has {len(raw):,} bytes, scale {model.scale.item():.4f}')


if __name__=='__main__': main(*sys.argv[1:])
