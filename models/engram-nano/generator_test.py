"""What the evaluation stands on: held-out words are really held out, and a conversation's facts are what was last told in it."""
import random
import unittest

import facts
import roles
import small_talk
import tool_use
from conversations import Conversation, draw_conversation
from lexicon import Lexicon


class HeldOut(unittest.TestCase):
    def test_no_name_or_word_is_in_both_parts(self):
        train, held_out = Lexicon(random.Random(1)), Lexicon(random.Random(1), held_out=True)
        for part in ("first", "last", "places", "code_names", "adjectives", "things", "skills"):
            mine, theirs = getattr(train, part), getattr(held_out, part)
            self.assertTrue(mine and theirs, part)
            self.assertFalse(set(mine) & set(theirs), part)

    def test_no_wording_beside_the_plainest_is_in_both_parts(self):
        for name, train, held_out, shared in (
                ("openings", facts.TELL_OPENINGS, facts.TELL_OPENINGS_HELD_OUT, {""}), ("endings", facts.TELL_ENDINGS, facts.TELL_ENDINGS_HELD_OUT, {""}),
                ("backward", facts.TELL_BACKWARD + facts.TELL_OTHER, facts.TELL_CORES_HELD_OUT, set()),
                ("updates", facts.UPDATE_OPENINGS, facts.UPDATE_OPENINGS_HELD_OUT, set()), ("asks", facts.ASKS, facts.ASKS_HELD_OUT, {"what is {the}?"}),
                ("who", roles.WHO, roles.WHO_HELD_OUT, set()), ("views", roles.VIEW, roles.VIEW_HELD_OUT, set()),
                ("tempting", roles.TEMPT, roles.TEMPT_HELD_OUT, set()), ("free roles", roles.FREE_ROLES, roles.FREE_ROLES_HELD_OUT, set()),
                ("delegating", roles.DELEGATE, roles.DELEGATE_HELD_OUT, set()), ("outside", small_talk.OUTSIDE, small_talk.OUTSIDE_HELD_OUT, set()),
                ("errors", tool_use.ERRORS, tool_use.ERRORS_HELD_OUT, set())):
            self.assertEqual(set(train) & set(held_out), shared & set(held_out), name)

    def test_what_makes_the_held_out_facts_different_is_never_said_in_training(self):
        lexicon_ = Lexicon(random.Random(3))
        key, value = facts.Key("code", "for", "it"), "7"
        held_out = " ".join(core.format(the=key.asked(), value=value) for core in facts.TELL_CORES_HELD_OUT + facts.UPDATE_CORES_HELD_OUT)
        told = [say(lexicon_, key, value) for say in (facts.tell, facts.tell_update) for _ in range(20000)]  # by the lists, and put together
        for phrase in ("for it will", "settled", "turns out", "was changed and is"):
            self.assertIn(phrase, held_out)
            self.assertFalse([text for text in told if phrase in text.lower()], phrase)


class Conversations(unittest.TestCase):
    def test_a_seed_draws_the_same_conversation_again(self):
        self.assertEqual(draw_conversation(7, 500).messages, draw_conversation(7, 500).messages)
        self.assertNotEqual(draw_conversation(7, 500).messages, draw_conversation(8, 500).messages)

    def test_roles_take_turns(self):
        for seed in range(50):
            last = None
            for message in draw_conversation(seed, 400).messages:
                role = message["role"]
                self.assertIn((last, role), {(None, "system"), (None, "user"), ("system", "user"), ("user", "assistant"), ("assistant", "user"),
                                             ("assistant", "tool"), ("tool", "assistant")})
                last = role

    def test_an_answer_states_what_was_told_last(self):
        for seed in range(50):
            conversation = Conversation(Lexicon(random.Random(seed)))
            (key, old), = conversation.tell_facts(1, echo=False)
            self.assertIn(old, conversation.messages[0]["content"])
            self.assertEqual(conversation.update_fact(key, echo=False), old)
            new = conversation.told[key]
            self.assertNotEqual(new, old)
            self.assertIn(new, conversation.messages[2]["content"])
            conversation.ask_fact()
            self.assertEqual(conversation.messages[-1]["content"], facts.statement(key, new))
            self.assertEqual(conversation.summary(), f"- {facts.statement(key, new)}")
            self.assertNotEqual(conversation.unused_key()[0], key)

    def test_a_calls_arguments_stand_in_its_request(self):
        for seed in range(50):
            lexicon_ = Lexicon(random.Random(seed), held_out=seed % 2 == 0)
            tool = tool_use.draw_tools(lexicon_, 1)[0]
            request, arguments = tool.request()
            self.assertEqual(set(arguments), set(tool.schema()["function"]["parameters"]["properties"]))
            for value in arguments.values():
                self.assertIn(str(value), request)

    def test_code_words_are_hard_to_guess(self):
        words = {Lexicon(random.Random(seed), held_out=True).code() for seed in range(300)}
        self.assertGreater(len(words), 295)


if __name__ == "__main__":
    unittest.main()
