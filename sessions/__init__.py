"""How a session lives: keys, tokens, rotation, tables, the engine; plain synchronous code without HTTP."""
