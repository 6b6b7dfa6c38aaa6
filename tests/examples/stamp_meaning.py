"""What texts about scenes mean, worked out once more, from the records of the scenes only."""

import re


def meant(expression, size, things):
    """Which of a record's things a referring expression means, worked out once more."""
    text = expression.removeprefix("the ")
    middle = [(x + w / 2, y + h / 2) for x, y, w, h in (thing["box"] for thing in things)]
    area = [w * h for _, _, w, h in (thing["box"] for thing in things)]

    def named(word):
        return [i for i, thing in enumerate(things) if word == "thing" or word in thing["words"]]

    if relation := re.fullmatch(r"(.+) to the left of (?:the )?(.+)", text):
        (other,) = named(relation[2])
        return [i for i in named(relation[1]) if middle[i][0] < middle[other][0]]
    if size_word := re.match(r"(largest|smallest) ", text):
        best = max if size_word[1] == "largest" else min
        return [best(named(text[size_word.end() :]), key=area.__getitem__)]
    side = re.match(r"(left|right|top|bottom) (.+)|(.+) (?:on|at) the (left|right|top|bottom)", text)
    if side is None or named(text):
        return named(text)
    where, word = (side[1], side[2]) if side[1] else (side[4], side[3])
    axis, best = {"left": (0, min), "right": (0, max), "top": (1, min), "bottom": (1, max)}[where]
    return [best(named(word), key=lambda i: middle[i][axis])]


def singular(words):
    """What a plural may be of."""
    return words, words.removesuffix("s"), words.removesuffix("es")


def answers_of(question, record):
    """What people may answer a question, worked out once more from the scene's record."""
    things = record["things"]

    def number(word):
        return sum(word in thing["words"] for thing in things)

    if question == "What color is the background?":
        return {record["colour"]}
    if asked := re.fullmatch(r"How many (.+) are there\?", question):
        if asked[1] == "things":
            return {str(len(things))}
        return {str(max(map(number, singular(asked[1]))))}
    if asked := re.fullmatch(r"(?:Is|Are) there (?:an? |some )?(.+)\?", question):
        return {"yes" if number(asked[1]) else "no"}
    if asked := re.fullmatch(r"Is the (.+) to the left of the (.+)\?", question):
        first, second = (next(t["box"] for t in things if word in t["words"]) for word in asked.groups())
        return {"yes" if first[0] + first[2] / 2 < second[0] + second[2] / 2 else "no"}
    where = re.fullmatch(r"What is (?:(?:on|at) )?(the \w+(?: thing)?)\?", question)[1]
    (place,) = meant(where if where.endswith("thing") else f"{where} thing", record["size"], things)
    return set(things[place]["words"])


def truth_of(sentence, left, right):
    """Whether a sentence is true of two records, worked out once more."""
    text = sentence[0].lower() + sentence[1:].removesuffix(".")
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")

    def number(record, words):
        return max(sum(word in thing["words"] for thing in record["things"]) for word in singular(words))

    a, b = len(left["things"]), len(right["things"])
    fixed = {
        "the left image has more things than the right one": a > b,
        "the right image has more things than the left one": b > a,
        "both images show the same number of things": a == b,
        "both images have the same background color": left["colour"] == right["colour"],
    }
    if text in fixed:
        return fixed[text]
    one = {"the left": [left], "the right": [right], "at least one": [left, right]}
    if found := re.fullmatch(r"(the left|the right|at least one) image has an? (\w+) background", text):
        return any(record["colour"] == found[2] for record in one[found[1]])
    if found := re.fullmatch(r"there (?:is|are) (\w+) (.+) in total", text):
        return number(left, found[2]) + number(right, found[2]) == numbers.index(found[1])
    if found := re.fullmatch(r"the left image contains more (.+) than the right one", text):
        return number(left, found[1]) > number(right, found[1])
    if found := re.fullmatch(r"(the left|the right|at least one) image contains (?:an? |some )?(.+)", text):
        return any(number(record, found[2]) > 0 for record in one[found[1]])
    found = re.fullmatch(r"(both|only|neither) (?:the (left|right) )?images? contains? (?:an? |some )?(.+)", text)
    here, there = number(left, found[3]) > 0, number(right, found[3]) > 0
    if found[1] == "only":
        return here and not there if found[2] == "left" else there and not here
    return here and there if found[1] == "both" else not here and not there
