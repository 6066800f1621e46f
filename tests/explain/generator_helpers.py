"""A scripted teacher of MindGYM: two facts, a question that needs both, and a solver."""

import json


def gym(text: str, needs: str = "both") -> str:
    if text.startswith("Area"):
        return json.dumps([
            {"fact": "Ada wrote the letter.", "question": "Who wrote it?", "answer": "Ada"},
            {"fact": "Ada lives in Ghent.", "question": "Where does Ada live?", "answer": "Ghent"},
        ])  # fmt: skip
    if "Join these" in text:
        return json.dumps({"question": "Where does the writer live?", "answer": "Ghent",
                           "steps": ["Ada wrote it.", "She lives in Ghent."]})  # fmt: skip
    known = ("wrote the letter" in text) + 2 * ("lives in Ghent" in text)
    return "in Ghent." if known == 3 or (needs == "one" and known == 2) else "unknown"
