"""Objectives against the values and identities their papers imply; see each test's name."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from whyfirst.config.room import Use
from whyfirst.train.objectives import OBJECTIVES, SequenceScores
from whyfirst.train.objectives.cut import judged_loss
from whyfirst.train.objectives.lipo import lambda_weights

Double = torch.float64


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=Double)


def scores(
    logp: Any,
    labels: Any = None,
    references: tuple[Any, ...] = (0,),
    lengths: Any = None,
    **extras: Any,
) -> SequenceScores:
    """Scores of one token a response from sums (B, K), or of `lengths` equal tokens each."""
    total = tensor(logp).requires_grad_()
    B, K = total.shape
    count = torch.ones(B, K, dtype=torch.long) if lengths is None else torch.tensor(lengths)
    T = int(count.max())
    mask = torch.arange(T) < count[:, :, None]

    def spread(sums: Tensor) -> Tensor:
        return (sums / count.clamp(min=1))[:, :, None].expand(B, K, T) * mask

    given = [torch.zeros(B, K, dtype=Double) if r is None else tensor(r) for r in references]
    marked = tensor(labels) if labels is not None else torch.arange(K, 0, -1).expand(B, K).double()
    named = {name: tensor(value) for name, value in extras.items()}
    out = SequenceScores(spread(total), tuple(map(spread, given)), mask, marked, named)
    object.__setattr__(out, "total", total)
    return out


def loss(name: str, made: SequenceScores, **options: Any) -> Tensor:
    value: Tensor = OBJECTIVES.make(Use(name=name, **options))(made)
    return value


def dpo(ratio: Tensor, beta: float = 0.1) -> Tensor:
    return -logsigmoid(beta * (ratio[:, 0] - ratio[:, 1]))


RATIOS = [[1.0, -2.0], [0.5, 3.0]]


def test_dove_with_one_prompt_for_both_is_dpo() -> None:
    # Prompt tokens carry the same log-ratio in both and cancel.
    prompt = tensor([[4.0], [-1.0]])
    joint = scores((tensor(RATIOS) + prompt).tolist())
    assert torch.equal(
        loss("dove", joint).round(decimals=12), dpo(tensor(RATIOS)).round(decimals=12)
    )
    assert OBJECTIVES.get("dove").facts["prompt_scored"] is True


def test_d2o_with_one_sample_is_dpo_and_never_above_the_mean_of_the_instances() -> None:
    two = scores(RATIOS, labels=[[1, 0], [1, 0]], references=(None, None))
    assert torch.allclose(loss("d2o", two), dpo(tensor(RATIOS)), atol=1e-12)
    many = [[1.0, -1.0, 2.5, 0.5]]
    whole = loss("d2o", scores(many, labels=[[1, 1, 1, 0]], references=(None, None)))
    each = [dpo(tensor([[own, 0.5]])) for own in many[0][:3]]
    assert whole.item() <= torch.cat(each).mean().item()


def test_d2o_sets_samples_against_the_harmful_reference_only() -> None:
    helpful, harmful = [[9.0, 1.0]], [[2.0, 9.0]]
    got = loss("d2o", scores([[3.0, 5.0]], labels=[[1, 0]], references=(helpful, harmful)))
    assert got.item() == pytest.approx(softplus(-tensor(0.1 * (3 - 2) - 0.1 * (5 - 1))).item())


def test_mm_dpo_is_dpo_at_no_margin_and_its_beta_grows_to_one_and_a_half() -> None:
    assert torch.allclose(
        loss("mm_dpo", scores(RATIOS, margin=[0.0, 0.0])), dpo(tensor(RATIOS)), atol=1e-12
    )
    assert torch.allclose(
        loss("mm_dpo", scores(RATIOS, margin=[1e9, 1e9])), dpo(tensor(RATIOS), 0.15), atol=1e-12
    )
    steps = [loss("mm_dpo", scores([[1.0, 0.0]], margin=[m])).item() for m in (0, 1, 2, 5)]
    assert steps == sorted(steps, reverse=True)
    # A reward model that disagrees: at -3 the formula without its floor has a beta below 0.
    assert torch.allclose(
        loss("mm_dpo", scores(RATIOS, margin=[-3.0, -1e9])), dpo(tensor(RATIOS)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "labels", "options"),
    [
        ("d2o", [[1, 1, 1]], {}),
        ("d2o", [[1, 0, 0]], {}),
        ("d2o", [[0.4, 0, 0]], {}),
        ("lipo", [[-1, -2, -3]], {"loss": "softmax"}),
    ],
)
def test_labels_without_a_meaning_are_trained_on(
    name: str, labels: Any, options: dict[str, Any]
) -> None:
    made = scores([[1.0, 2.0, 3.0]], labels=labels, references=(None, None))
    with pytest.raises(ValueError, match=name):
        loss(name, made, **options)


def test_cut_reads_a_response_of_which_one_context_lacks_the_end() -> None:
    with pytest.raises(ValueError, match="cut off"):
        loss("cut", scores([[-1.0, -2.0]], lengths=[[3, 2]]))


def test_mm_dpo_implicit_with_all_kept_is_dpo_and_needs_no_margin() -> None:
    assert torch.allclose(
        loss("mm_dpo", scores(RATIOS), implicit=True, kept=1.0), dpo(tensor(RATIOS)), atol=1e-12
    )
    near = [[1.0, 0.0], [1.2, 0.0], [0.8, 0.0], [9.0, 0.0]]  # the outlier is not kept
    mean, kept = (1 + 1.2 + 0.8 + 9) / 4, (1 + 1.2 + 0.8) / 3
    beta = 0.1 * (1 + 0.1 * (kept - mean))
    got = loss("mm_dpo", scores(near), implicit=True, kept=0.75, w=0.1)
    assert torch.allclose(got, dpo(tensor(near), beta), atol=1e-12)


def test_physhpo_with_the_instance_alone_is_dpo_and_spans_add_up() -> None:
    alone = {"state": 0.0, "motion": 0.0, "semantic": 0.0}
    got = loss("physhpo", scores(RATIOS), **alone)
    assert torch.allclose(got, dpo(tensor(RATIOS)), atol=1e-12)
    four = scores([[1.0, -1.0, 0.5, 0.25]], lengths=[[6, 6, 6, 6]])
    # An edge of half the response is all of it.
    state = loss("physhpo", four, **alone | {"instance": 0.0, "state": 1.0}, edge=3)
    assert torch.allclose(state, dpo(tensor([[1.0, -1.0]])), atol=1e-12)
    terms = loss("physhpo", four, instance=0.0, state=0.0, motion=2.0, semantic=1.0)
    expected = 2 * dpo(tensor([[1.0, 0.5]])) + dpo(tensor([[1.0, 0.25]]))
    assert torch.allclose(terms, expected, atol=1e-12)
    with pytest.raises(ValueError, match="need 3"):
        loss("physhpo", scores(RATIOS), motion=1.0, semantic=0.0)


def test_poft_gradient_is_minus_tau_and_agreement_is_ln_2() -> None:
    made = scores([[-6.0]], lengths=[[3]], references=(), aligned_logp=[-1.5])
    got = loss("poft", made)
    got.sum().backward()
    p, g = math.exp(-2.0), math.exp(-1.5)
    # In the mean log-probability a token: the sum's gradient times the length.
    assert made.total.grad.item() * 3 == pytest.approx(-g / (g + p), abs=1e-15)  # type: ignore[attr-defined]
    same = scores([[-6.0]], lengths=[[3]], references=(), aligned_logp=[-2.0])
    assert loss("poft", same).item() == pytest.approx(math.log(2))


def test_lipo_of_two_is_dpo_and_lambda_scales_it() -> None:
    binary = [[1.0, 0.0], [1.0, 0.0]]
    one = scores([[1.0, -2.0]], labels=binary[:1])
    assert loss("lipo", one, loss="logistic", beta=0.1).item() == pytest.approx(
        dpo(tensor([[1.0, -2.0]])).item()
    )
    factor = 1 / math.log(2) - 1 / math.log(3)
    assert factor == pytest.approx(0.5324558, abs=1e-7)
    assert loss("lipo", one, beta=0.1).item() == pytest.approx(
        factor * dpo(tensor([[1.0, -2.0]])).item()
    )
    assert loss("lipo", one, loss="hinge", beta=0.1).item() == pytest.approx(1 - 0.3)  # SLiC


def test_lipo_lambda_of_three_has_the_hand_computed_value() -> None:
    three = scores([[2.0, 1.0, 0.0]], labels=[[1.0, 0.5, 0.0]])
    assert loss("lipo", three, beta=1.0).item() == pytest.approx(0.2137772826753246, abs=1e-15)
    weights = lambda_weights(tensor([[2.0, 1.0, 0.0]]), tensor([[1.0, 0.5, 0.0]]))
    assert torch.equal(weights, weights.transpose(1, 2))


def test_lipo_list_losses_are_plackett_luce_and_cross_entropy() -> None:
    made = scores([[0.3, 1.0, -0.5]], labels=[[0.2, 0.1, 0.7]])
    s = tensor([-0.5, 0.3, 1.0])  # in the labels' order
    expected = sum((s[i:].logsumexp(0) - s[i]).item() for i in range(3))
    assert loss("lipo", made, loss="list_mle", beta=1.0).item() == pytest.approx(expected)
    entropy = -(tensor([0.2, 0.1, 0.7]) * tensor([0.3, 1.0, -0.5]).log_softmax(0)).sum().item()
    assert loss("lipo", made, loss="softmax", beta=1.0).item() == pytest.approx(entropy)


def test_pro_of_two_is_bradley_terry_on_mean_log_probabilities() -> None:
    made = scores([[-2.0, -9.0]], labels=[[3.0, 2.0]], lengths=[[2, 3]])
    assert loss("pro", made, nll=0.0).item() == pytest.approx(softplus(tensor(-(-1 + 3.0))).item())
    assert loss("pro", made).item() - loss("pro", made, nll=0.0).item() == pytest.approx(0.05 * 2)


def test_pro_without_gaps_is_plackett_luce_and_gaps_sharpen_as_defined() -> None:
    made = scores([[-0.5, 0.3, -1.0]], labels=[[1.0, 3.0, 0.0]])
    s, r = tensor([0.3, -0.5, -1.0]), [3.0, 1.0, 0.0]
    plain = sum((s[i:].logsumexp(0) - s[i]).item() for i in range(2))
    assert loss("pro", made, gaps=False, nll=0.0).item() == pytest.approx(plain)
    expected = 0.0
    for k in range(2):
        own = s[k] * (r[k] - r[2])
        rest = [s[i] * (r[k] - r[i]) for i in range(k + 1, 3)]
        expected += (torch.stack([own, *rest]).logsumexp(0) - own).item()
    assert loss("pro", made, nll=0.0).item() == pytest.approx(expected)


def test_aft_of_one_right_and_one_wrong_is_bradley_terry() -> None:
    made = scores([[-1.0, -2.0]], labels=[[1, 0]])
    for constraint in ("none", "detached"):
        got = loss("aft", made, constraint=constraint, nll=0.0).item()
        assert got == pytest.approx(softplus(tensor(-1.0)).item())


def test_aft_detached_gives_wrong_answers_no_gradient() -> None:
    made = scores([[-1.0, -2.0, -3.0]], labels=[[1, 0, 0]])
    loss("aft", made, nll=0.0).sum().backward()
    grad = made.total.grad[0]  # type: ignore[attr-defined]
    assert grad[0] < 0 and torch.equal(grad[1:], tensor([0.0, 0.0]))


def test_aft_boundary_pulls_a_wrong_answer_up_below_the_middle() -> None:
    beta, right = 0.5, -1.0
    middle = (right + (right - beta)) / 2
    for offset, sign in ((-0.2, -1), (0.0, 0), (0.2, 1)):
        made = scores([[right, middle + offset]], labels=[[1, 0]])
        loss("aft", made, constraint="boundary", beta=beta, nll=0.0).sum().backward()
        grad = made.total.grad[0, 1].item()  # type: ignore[attr-defined]
        assert (abs(grad) < 1e-12) if sign == 0 else (math.copysign(1, grad) == sign)


@pytest.mark.parametrize("name", ["act", "cyclealign"])
def test_rank_hinge_counts_only_pairs_in_the_wrong_order(name: str) -> None:
    wrong = scores([[-3.0, -1.0]], labels=[[1.0, 0.4]])
    assert loss(name, wrong, nll=0.0).item() == pytest.approx(2.0)
    assert loss(name, wrong).item() == pytest.approx(2.0 + 3.0)
    right = scores([[-1.0, -3.0]], labels=[[1.0, 0.4]])
    assert loss(name, right, nll=0.0).item() == 0.0
    equal = scores([[-1.0, -3.0]], labels=[[0.5, 0.5]])
    assert loss(name, equal, nll=0.0).item() == 0.0


def cut_scores(p: list[float], q: list[float]) -> SequenceScores:
    logp = torch.stack([tensor(p).log(), tensor(q).log()])[None].requires_grad_()
    return SequenceScores(logp, (), torch.ones(1, 2, len(p), dtype=torch.bool), tensor([[1, 0]]))


def test_cut_blames_the_token_the_judgment_makes_likelier() -> None:
    p, q = [0.3, 0.49, 0.2], [0.9, 0.5, 0.2]
    unlike = judged_loss(tensor(p).log(), tensor(q).log(), 1.1, 0.1).mean().item()
    assert unlike == pytest.approx(0.7861517649, abs=1e-10)
    made = cut_scores(p, q)
    with_judgment = -tensor(q).log().mean().item()
    assert loss("cut", made).item() == pytest.approx((unlike + with_judgment) / 2)
    loss("cut", made).sum().backward()
    grad = made.logp.grad[0, 0]  # type: ignore[index]
    assert grad[0] > 0 and bool((grad[1:] < 0).all())  # the blamed token is pushed down


def test_cut_without_a_threshold_is_plain_likelihood() -> None:
    p = [0.3, 0.49, 0.2]
    got = loss("cut", cut_scores(p, [0.9, 0.5, 0.2]), threshold=1e9).item()
    nll, judged = -tensor(p).log().mean().item(), -tensor([0.9, 0.5, 0.2]).log().mean().item()
    assert got == pytest.approx((nll + judged) / 2)


def test_token_reward_gradient_is_the_reward_over_the_length() -> None:
    logp = tensor([[[-1.0, -2.0, 0.0]]]).requires_grad_()
    mask = torch.tensor([[[True, True, False]]])
    extras = {"token_reward": tensor([[[1.0, -0.5, 7.0]]])}
    made = SequenceScores(logp, (torch.zeros(1, 1, 3, dtype=Double),), mask, tensor([[1]]), extras)
    loss("token_reward", made).sum().backward()
    assert torch.equal(logp.grad, tensor([[[-0.5, 0.25, 0.0]]]))  # type: ignore[arg-type]


# -- what holds for every objective ------------------------------------------------------------

LISTWISE = [e.name for e in OBJECTIVES.entries() if e.facts.get("responses", (2, 2))[1] is None]


def drawn(name: str, B: int, K: int, T: int, seed: int) -> SequenceScores:
    """Random scores that fit an objective."""
    entry, rng = OBJECTIVES.get(name), torch.Generator().manual_seed(seed)
    fewest, most = entry.facts.get("responses", (2, 2))
    K = most if name == "physhpo" else max(fewest, min(K, most or K))
    K += entry.facts.get("borrowed", False)
    lengths = torch.randint(1, T + 1, (B, K), generator=rng)
    if name == "cut":
        lengths = lengths[:, :1].expand(B, K)
    mask = torch.arange(T) < lengths[:, :, None]

    def draw() -> Tensor:
        return -torch.rand(B, K, T, generator=rng, dtype=Double) * 3 * mask

    labels = torch.stack([torch.randperm(K, generator=rng) for _ in range(B)]).double() / max(
        K - 1, 1
    )
    if fewest == most:
        labels = torch.arange(K - 1, -1, -1).expand(B, K).double()
    if name == "d2o":
        labels = (labels > 0).double()
    shapes = {"row": (B,), "response": (B, K), "token": (B, K, T)}
    columns = entry.facts.get("columns", {})
    extras = {c: -torch.rand(shapes[s], generator=rng, dtype=Double) for c, s in columns.items()}
    references = tuple(draw() for _ in range(entry.facts.get("references", 1)))
    scored = draw().sum(-1) if entry.facts.get("scored") else None
    return SequenceScores(draw().requires_grad_(), references, mask, labels, extras, scored)


def changed(made: SequenceScores, change: Any) -> SequenceScores:
    return SequenceScores(
        change(made.logp.detach()).requires_grad_(),
        tuple(map(change, made.references)),
        change(made.mask),
        change(made.labels),
        {name: change(value) for name, value in made.extras.items()},
        None if made.rewards is None else change(made.rewards),
    )


@pytest.mark.parametrize("name", OBJECTIVES.names())
@settings(max_examples=8, deadline=None)
@given(B=st.integers(1, 4), K=st.integers(2, 5), T=st.integers(1, 6), seed=st.integers(0, 999))
def test_order_of_rows_changes_no_row_and_gradients_are_finite(
    name: str, B: int, K: int, T: int, seed: int
) -> None:
    made = drawn(name, B, K, T, seed)
    got = loss(name, made)
    assert got.shape == (B,) and bool(got.isfinite().all())
    got.sum().backward()
    assert bool(made.logp.grad.isfinite().all())  # type: ignore[union-attr]
    flipped = loss(name, changed(made, lambda value: value.flip(0)))
    assert torch.allclose(flipped.flip(0), got, atol=1e-10)


@pytest.mark.parametrize("name", OBJECTIVES.names())
@settings(max_examples=8, deadline=None)
@given(B=st.integers(1, 3), K=st.integers(2, 4), T=st.integers(1, 5), seed=st.integers(0, 999))
def test_padding_tokens_and_responses_change_nothing(
    name: str, B: int, K: int, T: int, seed: int
) -> None:
    made = drawn(name, B, K, T, seed)

    def longer(value: Tensor) -> Tensor:
        return (
            torch.cat([value, torch.zeros_like(value[..., :1])], -1) if value.dim() == 3 else value
        )

    def wider(value: Tensor) -> Tensor:
        if value.dim() < 2:
            return value
        more = torch.zeros_like(value[:, :1])
        # A padded response has no label.
        return torch.cat([value, more.fill_(math.nan) if value.dim() == 2 else more], 1)

    got = loss(name, made)
    assert torch.allclose(loss(name, changed(made, longer)), got, atol=1e-10)
    if name in LISTWISE:
        padded = changed(made, wider)
        again = loss(name, padded)
        again.sum().backward()
        assert torch.allclose(again, got, atol=1e-10)
        assert bool(padded.logp.grad.isfinite().all())  # type: ignore[union-attr]


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_only_as_many_references_are_touched_as_are_declared(name: str) -> None:
    made = drawn(name, 2, 3, 4, 0)
    assert len(made.references) == OBJECTIVES.get(name).facts.get("references", 1)
    loss(name, made)  # a reference more would be an IndexError


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_says_where_it_is_from_and_what_it_leaves_out(name: str) -> None:
    entry = OBJECTIVES.get(name)
    assert entry.paper and entry.needs and entry.tested and entry.summary
    assert name != "dove" or entry.leaves_out


def test_kto_weighs_the_wrong_side() -> None:
    """By hand, with the policy drifted up (z = 0.3) and down (z = 0), w+ = 1 and w- = 2."""
    nan = math.nan
    for other, z in ((0.3, 0.3), (-0.4, 0.0)):
        made = scores([[0.5, other], [-0.2, other]], labels=[[1.0, nan], [0.0, nan]])
        value = loss("kto", made, beta=0.5, undesirable_weight=2.0)
        good = 1 - 1 / (1 + math.exp(-0.5 * (0.5 - z)))
        bad = 2 * (1 - 1 / (1 + math.exp(-0.5 * (z + 0.2))))
        assert value.tolist() == pytest.approx([good, bad], abs=1e-12)
        value.sum().backward()
        gradient = made.total.grad  # type: ignore[attr-defined]
        assert gradient[0, 0] < 0 < gradient[1, 0] and not gradient[:, 1].any()


def test_mah_dpo_is_another_loss_than_dpo() -> None:
    made = scores(RATIOS, objective=[0.0, 1.0])
    assert torch.equal(loss("mah_dpo", made, heads=2), loss("dpo", made))
