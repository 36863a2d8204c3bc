"""The rules of schedules, declared or made at run time: when they tick, which ticks fire, and which options they take."""
