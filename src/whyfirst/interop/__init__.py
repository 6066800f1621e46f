"""Other tools' results in, ours out: Inspect's logs and tasks, lm-eval's results.

Modules named inspect_* need the extra ``[inspect]``; nothing else imports them before it must.
"""
