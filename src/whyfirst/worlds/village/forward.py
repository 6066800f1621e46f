"""The forward pass of a small Granite over rows of several lengths at once, nothing padded.

Leaves out what a base doesn't have: caches, grouped heads, biases, dropout, and the multipliers
other than that of embeddings.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import GraniteForCausalLM


def hidden_states(model: "GraniteForCausalLM", groups: "list[torch.Tensor]") -> "torch.Tensor":
    """The last hidden states of rows of several lengths, one group (B, T) a length.

    All but attention is computed for all tokens at once, and nothing for padding.

    Returns:
        (tokens, hidden), the groups one after the other.
    """
    import torch
    from torch.nn.functional import rms_norm, scaled_dot_product_attention

    body, config = model.model, model.config
    width, heads = config.hidden_size, config.num_attention_heads
    sizes = [ids.numel() for ids in groups]
    # Each row counts its positions from 0, wherever it lies among the others.
    position = torch.cat([torch.arange(ids.shape[1]).repeat(ids.shape[0]) for ids in groups])
    x = body.embed_tokens.weight[torch.cat([ids.reshape(-1) for ids in groups])]
    x = x * config.embedding_multiplier
    cos, sin = (part[0][:, None] for part in body.rotary_emb(x, position[None]))
    for layer in body.layers:
        attention, mlp = layer.self_attn, layer.mlp
        h = rms_norm(x, (width,), layer.input_layernorm.weight, config.rms_norm_eps)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        q, k, v = (project(h).view(-1, heads, width // heads) for project in projections)
        # Rotary positions: the two halves of a head are turned against each other.
        halves = (z.chunk(2, -1) for z in (q, k))
        turned = [torch.cat([-second, first], -1) for first, second in halves]
        q, k = (z * cos + t * sin for z, t in zip((q, k), turned, strict=True))
        # Attention alone looks along a row, so it goes by rows of one length.
        mixed = []
        for ids, *parts in zip(groups, *(z.split(sizes) for z in (q, k, v)), strict=True):
            shape = (*ids.shape, heads, width // heads)
            queries, keys, values = (part.view(shape).transpose(1, 2) for part in parts)
            out = scaled_dot_product_attention(queries, keys, values, is_causal=True)
            mixed.append(out.transpose(1, 2).reshape(-1, width))
        x = x + attention.o_proj(torch.cat(mixed))
        h = rms_norm(x, (width,), layer.post_attention_layernorm.weight, config.rms_norm_eps)
        x = x + mlp.down_proj(torch.nn.functional.silu(mlp.gate_proj(h)) * mlp.up_proj(h))
    return rms_norm(x, (width,), body.norm.weight, config.rms_norm_eps)
