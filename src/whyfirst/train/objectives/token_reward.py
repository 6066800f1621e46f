"""REINFORCE on token rewards, as a sequence-to-sequence reward model gives them.

Zhou et al. 2024, "Sequence to Sequence Reward Modeling: Improving RLHF by Language Feedback", arXiv
2409.00162. The reward model is a language model that corrects responses; a token it would have
written itself is rewarded and one it would not is punished (the column `token_reward`, which comes
with the rows; stages that draw have the reward `seq2seq`). The paper runs PPO; this is its
policy-gradient term on given responses. Leaves out: the value function, and drawing responses anew.
"""

from torch import Tensor

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "token_reward",
    paper="Zhou et al. 2024, arXiv 2409.00162",
    needs="prompt, completion, token_reward (a list a response); one reference",
    tested="the gradient in each token's log-probability is minus its reward over the length",
    labelled=False,
    responses=(1, None),
    columns={"token_reward": "token"},
)
def token_reward(scores: SequenceScores, *, beta: float = 0.0) -> Tensor:
    """Minus each token's reward times its log-probability, a token, mean over responses.

    Args:
        beta: weight of the squared log-ratio to the reference a token, which keeps it near.

    Returns:
        Loss of each row, shape (B,).
    """
    gain_B_K_T: Tensor = scores.extras["token_reward"] * scores.logp
    if beta:
        gain_B_K_T = gain_B_K_T - beta / 2 * (scores.logp - scores.references[0]) ** 2
    per_response = (gain_B_K_T * scores.mask).sum(-1) / scores.lengths.clamp(min=1)
    return -per_response.sum(1) / scores.present.sum(1)
