"""Train the autoencoder of `meme_nb.latent` on 64 x 64 emoji: `python tools/train_autoencoder.py [STEPS] [FOLDER]`

Writes the weights (float16) and their record into FOLDER (meme_nb/assets, if none is given). What goes on is printed every 250 steps, with the
PSNR on the test emoji; the record has that of the weights that were written."""
import hashlib, json, os, platform, sys, time
from pathlib import Path
import torch
from safetensors.torch import save
from meme_nb.data import assets, emoji
from meme_nb.experts import count_params
from meme_nb.latent import Autoencoder, _load_autoencoder, fit_autoencoder, fit_linear, psnr, reconstruct
from meme_nb.training import keep_memory

seed, bs, lr, kl = 0, 32, 3e-3, 1e-6

def main(steps=2500, folder=assets):
    steps, folder, train, test = int(steps), Path(folder), emoji('train', 64), emoji('test', 64); keep_memory(); torch.manual_seed(seed); start = time.monotonic()
    model = fit_linear(Autoencoder(), train); linear = psnr(reconstruct(model, test), test); print(f'principal components: {linear:.2f} dB', flush=True)
    def report(i, loss):
        if (i+1)%250==0: print(f'step {i+1} of {steps}: loss {loss:.5f}, {psnr(reconstruct(model, test), test):.2f} dB, {time.monotonic()-start:.0f} s', flush=True)
    fit_autoencoder(model, train, steps, bs, lr, kl, seed, report)
    raw = save({k: v.half().contiguous() for k, v in model.state_dict().items()}); file = folder/'emoji_autoencoder.safetensors'; folder.mkdir(parents=True, exist_ok=True); file.write_bytes(raw)
    record = dict(purpose='Autoencoder of 64 x 64 emoji (meme_nb.latent)', command=f'python tools/train_autoencoder.py {steps}', config=model.config, sha256=hashlib.sha256(raw).hexdigest(), steps=steps, batch=bs, lr=lr, kl=kl, seed=seed,
                  parameters=count_params(model), train_images=len(train), seconds=round(time.monotonic()-start), torch=torch.__version__, threads=torch.get_num_threads(),
                  hardware=f'{os.cpu_count()} CPU cores, {platform.machine().replace("_", "-")} with {torch.backends.cpu.get_cpu_capability()}', date=time.strftime('%Y-%m-%d'))
    write = lambda: file.with_suffix('.json').write_text(json.dumps(record, indent=1)+'\n')
    write(); record.update(n=len(test), psnr_linear=round(linear, 3), psnr=round(psnr(reconstruct(_load_autoencoder(folder), test), test), 3)); write()      # what is measured is what was saved
    print(f'{record["psnr"]:.2f} dB on {len(test)} test emoji; {file.name} has {len(raw):,} bytes, scale {model.scale.item():.4f}')

if __name__=='__main__': main(*sys.argv[1:])
