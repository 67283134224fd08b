CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, score REAL, photo BLOB);
INSERT INTO users VALUES (1, 'Ada', 1.5, x'00ff'), (2, 'Bö "b"', NULL, NULL), (9007199254740993, 'big', 2, x'');
