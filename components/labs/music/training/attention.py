"""Attention from each character to the earlier ones of its tune: which characters followed similar states?

Tunes repeat whole phrases, which an LSTM copies badly: its cells would have to hold them. Attention to its own past
states (Grave et al. 2017, "Improving neural language models with a continuous cache", here with learned queries and
keys) costs little, since nothing of it goes back into the LSTM, and saves a fifth of the bits per character. The heads
share one key and one value for each character (Shazeer 2019, "Fast transformer decoding"), so a tune's memory is
small enough to be carried from call to call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.labs.music.params import Train


class Attention(nn.Module):
    """Attention heads from each character to the earlier ones of its tune; a value is the character that followed.

    Character t sees character i where lag <= t - i < window. The lag lets a graph that writes a few characters in one
    call take the past as a constant; phrases that come again are longer ago than that.
    """

    def __init__(self, characters: int, params: Train) -> None:
        super().__init__()
        self.heads, self.size = params.attention_heads, params.attention_size
        self.lag, self.window = params.attention_lag, params.attention_window
        self.query = nn.Linear(params.hidden_size, self.heads * self.size, bias=False)
        self.key = nn.Linear(params.hidden_size, self.size, bias=False)
        self.value = nn.Embedding(characters, self.size)
        self.output = nn.Linear(self.heads * self.size, characters, bias=False)

    def forward(self, hidden: Tensor, ids: Tensor, keys: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What to add to the logits (B, T, V), and keys (B, P + T, size) and past (B, P + T) with these T more.

        hidden: (B, T, H) of the characters ids (B, T). keys and past: those of the P characters before them.
        """
        keys, past = torch.cat([keys, self.key(hidden)], dim=1), torch.cat([past, ids], dim=1)
        first, total = past.shape[1] - ids.shape[1], past.shape[1]
        ago = torch.arange(first, total, device=ids.device)[:, None] - torch.arange(total, device=ids.device)
        query = self.query(hidden).unflatten(2, (self.heads, self.size)).transpose(1, 2)
        scores = query @ keys[:, None].transpose(2, 3) / self.size**0.5
        scores = scores.float().masked_fill((ago < self.lag) | (ago >= self.window), -torch.inf)
        # The first column is a score of 0 for no match: its share adds nothing.
        shares = functional.pad(scores, (1, 0)).softmax(dim=-1)[..., 1:]
        following = self.value(past.roll(-1, dims=1))[:, None]  # the last one's is not known yet, and hidden by the lag
        found = (shares.to(following.dtype) @ following).transpose(1, 2).flatten(2)
        return self.output(found), keys, past
