"""A little plain talk, learned by heart: each line is questions | answer."""

import random

from .samples import Pair

LINES = """
Hello|Hello!|Hi|Hi!|Hey|hello|hi|Good day|Hi there|Hello there => Hello! Send me an image and ask me about it.
Good morning|Good morning! => Good morning! What can I look at for you?
Good evening|Good evening! => Good evening! What can I look at for you?
How are you?|How are you doing?|How do you do?|How is it going? => I am fine, thank you. How are you?
I am fine|I am fine, thanks|I am well|Fine, thank you => I am glad to hear that.
Who are you?|What are you?|What is your name?|Tell me about yourself|Introduce yourself|who are you => I am a tiny model that sees digits and coloured shapes.
What can you do?|What do you do?|Help|help|How can you help me?|What can I ask you? => I read handwritten digits, I find and count coloured shapes, and I compare images.
What can you not do?|What are your limits? => I know very little: I am a very small model.
How big are you?|How many parameters do you have?|Are you large? => I have about two and a half million parameters.
Where do you run?|Where are you running? => I run in ModServe, one stage at a time.
What is ModServe?|What is modserve?|Tell me about ModServe => ModServe is a server for large multimodal models. It runs each stage by itself.
How were you trained?|Who trained you?|Where do you come from? => I was trained on a CPU in less than half an hour.
Which stages are there?|What are the stages?|Name the stages => The stages are encode, prefill and decode.
What is encode?|What does encode do?|What is the encode stage? => Encode turns an image into embeddings.
What is prefill?|What does prefill do?|What is the prefill stage? => Prefill reads the whole prompt and fills the cache.
What is decode?|What does decode do?|What is the decode stage? => Decode writes the answer, one token at a time.
Thank you|Thanks|Thank you!|Thanks a lot|Thank you very much => You are welcome!
Goodbye|Bye|Bye!|See you|See you later|Goodbye! => Goodbye!
Yes|No|Ok|Okay|OK => All right. What is next?
Are you a robot?|Are you human?|Are you a person? => I am a program.
Can you see?|Can you see images?|Do you see images? => Yes, I can see digits and coloured shapes.
Which colours do you know?|What colors do you know?|Name some colours => I know red, green, blue, yellow, purple and orange.
Which shapes do you know?|What shapes do you know?|Name some shapes => I know circles, squares, triangles and stars.
Which digits do you know?|Count to nine|Name the digits => 0, 1, 2, 3, 4, 5, 6, 7, 8 and 9.
Count to five|Count to 5|Count from one to five => 1, 2, 3, 4, 5.
Count to ten|Count to 10|Count from one to ten => 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.
Count down from five|Count down from 5 => 5, 4, 3, 2, 1.
Tell me a joke|Tell me a joke!|Do you know a joke?|Say something funny => Why was six afraid of seven? Because seven eight nine.
Tell me a story|Tell me a short story => Once a small model saw a red circle. It counted one, and was happy.
Write a poem|Write a short poem|Tell me a poem => A circle is round, a square has four sides, and in each small scan a digit hides.
Say hello|Say hello! => Hello!
What colour is the sky?|What color is the sky? => The sky is blue.
What colour is grass?|What color is grass?|What colour is the grass? => Grass is green.
What colour is the sun?|What color is the sun? => The sun is yellow.
What colour is blood?|What color is blood? => Blood is red.
What colour is snow?|What color is snow? => Snow is white.
How many sides does a triangle have?|How many corners does a triangle have? => A triangle has 3 sides.
How many sides does a square have?|How many corners does a square have? => A square has 4 sides.
How many legs does a dog have?|How many legs does a cat have? => It has 4 legs.
How many days are in a week?|How many days does a week have? => A week has 7 days.
How many months are in a year?|How many months does a year have? => A year has 12 months.
How many hours are in a day?|How many hours does a day have? => A day has 24 hours.
Is the earth round?|Is the earth flat? => The earth is round.
What is the meaning of life?|What is the answer to everything? => 42.
What is water?|What is water made of? => Water is made of hydrogen and oxygen.
What is a circle? => A circle is a round shape.
What is a square? => A square is a shape with 4 equal sides.
What is a triangle? => A triangle is a shape with 3 sides.
What is a GPU? => A GPU is a processor that does many things at once.
What is a token? => A token is a small piece of text.
Do you like music?|Do you like art? => I like simple pictures best.
Do you speak German?|Do you speak French?|Do you speak Spanish? => I only speak a little English.
What time is it?|What day is it?|What is the date today? => I do not know, I have no clock.
What is the weather like?|How is the weather?|Will it rain today? => I do not know, I cannot look outside.
"""  # noqa: E501 (a line is a fact)
CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "Austria": "Vienna", "England": "London", "Ireland": "Dublin",
    "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki", "Poland": "Warsaw",
    "Greece": "Athens", "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi",
    "Egypt": "Cairo", "Canada": "Ottawa", "Russia": "Moscow", "Switzerland": "Bern",
}  # fmt: skip
WITHOUT_IMAGE = ("What digit is this?", "What is in the image?", "Describe the image.",
                 "What is this?", "What do you see?", "How many circles are there?")  # fmt: skip
NO_IMAGE = "I see no image. Please send me one."


def facts() -> list[list[Pair]]:
    """Each fact as the list of its paraphrases."""
    found = []
    for line in LINES.strip().splitlines():
        questions, answer = line.split(" => ")
        found.append([Pair(question, answer) for question in questions.split("|")])
    for country, capital in CAPITALS.items():
        answer = f"The capital of {country} is {capital}."
        asked = ("What is the capital of {}?", "Which city is the capital of {}?", "Capital of {}?")
        found.append([Pair(question.format(country), answer) for question in asked])
    found.append([Pair(question, NO_IMAGE) for question in WITHOUT_IMAGE])
    return found


def sums() -> list[Pair]:
    """Plus and minus of one-digit numbers."""
    pairs = []
    for a in range(10):
        for b in range(10):
            answers = [("plus", "+", a + b)]
            answers += [("minus", "-", a - b)] if a >= b else []
            for word, sign, result in answers:
                answer = f"{a} {word} {b} is {result}."
                pairs += [Pair(f"What is {a} {asked} {b}?", answer) for asked in (word, sign)]
    return pairs


FACTS = facts()
SUMS = sums()


def draw(rng: random.Random) -> Pair:
    if rng.random() < 0.3:
        return rng.choice(SUMS)
    pair = rng.choice(rng.choice(FACTS))
    return Pair(_reword(pair.question, rng), pair.answer)


def _reword(question: str, rng: random.Random) -> str:
    """Without its last mark or its capital letter, as people type."""
    if rng.random() < 0.15:
        question = question.rstrip("?!.")
    return question.lower() if rng.random() < 0.15 else question
