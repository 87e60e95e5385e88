-- What an application does with SQLite, with results that do not depend on time or chance.
.mode list
.headers on
PRAGMA journal_mode;
CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, born INT CHECK (born > 0));
CREATE TABLE book(id INTEGER PRIMARY KEY, author REFERENCES author ON DELETE CASCADE, title TEXT, pages INT, price REAL);
CREATE INDEX book_author ON book(author, title DESC);
PRAGMA foreign_keys = on;
INSERT INTO author(name, born) VALUES ('Ada', 1815), ('Grace', 1906), ('Бетти', 1917);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
INSERT INTO book(author, title, pages, price) SELECT 1 + i % 3, 'Band ' || i, i * 7 % 901, i * 0.25 FROM n;
SELECT author.name, count(*), sum(pages), round(avg(price), 3), max(title) FROM book JOIN author ON author.id = book.author GROUP BY 1 ORDER BY 1;
EXPLAIN QUERY PLAN SELECT title FROM book WHERE author = 2 ORDER BY title DESC;
SELECT id, pages, sum(pages) OVER w, rank() OVER (PARTITION BY pages % 3 ORDER BY id) FROM book WINDOW w AS (ORDER BY id ROWS 2 PRECEDING) LIMIT 6;
INSERT INTO author(name, born) VALUES ('ada', 1);
INSERT INTO author(name, born) VALUES ('Joan', -1);
INSERT INTO book(author) VALUES (99);
SELECT changes(), total_changes() > 3000;
-- transactions
BEGIN; DELETE FROM author WHERE name = 'Ada'; SAVEPOINT s; DELETE FROM book; ROLLBACK TO s; SELECT count(*) FROM book; ROLLBACK; SELECT count(*) FROM book;
CREATE TABLE journal(what TEXT, id INT);
CREATE TRIGGER noted AFTER UPDATE OF price ON book WHEN old.price <> new.price BEGIN INSERT INTO journal VALUES (format('%.2f -> %.2f', old.price, new.price), new.id); END;
UPDATE book SET price = price * 2 WHERE id IN (10, 20, 30) RETURNING id, price;
SELECT * FROM journal;
INSERT INTO author(id, name, born) VALUES (1, 'Ada', 1815) ON CONFLICT(name) DO UPDATE SET born = excluded.born + 1 RETURNING *;
-- extensions of the distribution's build
CREATE VIRTUAL TABLE words USING fts5(body, tokenize = 'porter unicode61');
INSERT INTO words SELECT group_concat(title || ' running runs ran', ' ') FROM book GROUP BY pages % 50;
SELECT rowid, snippet(words, 0, '[', ']', '...', 4) FROM words WHERE words MATCH 'run AND "band 77"' ORDER BY rank LIMIT 2;
INSERT INTO words(words) VALUES ('integrity-check');
CREATE VIRTUAL TABLE old USING fts4(body);
INSERT INTO old SELECT title FROM book;
SELECT count(*) FROM old WHERE body MATCH '12*';
CREATE VIRTUAL TABLE area USING rtree(id, x0, x1, y0, y1);
INSERT INTO area SELECT id, id % 50, id % 50 + 1.5, id / 50, id / 50 + 1 FROM book;
SELECT count(*), min(id), max(id) FROM area WHERE x0 >= 10 AND x1 <= 20 AND y0 BETWEEN 5 AND 9;
SELECT json_extract('{"a":[1,{"b":"ü"}]}', '$.a[1].b'), json_group_array(born) FROM author;
SELECT key, value, type FROM json_each('{"x":1,"y":[true,null],"z":"é"}');
SELECT sum(pgsize) > 0 FROM dbstat;
SELECT pow(2, 0.5), ln(10), soundex('Robert'), printf('%,d', 1234567), hex(zeroblob(4)), unicode('€'), strftime('%Y-%j %H:%M', 1700000000, 'unixepoch');
-- files: every journal mode, mmap, two databases at once, a copy, temporary tables that spill
PRAGMA journal_mode = truncate; UPDATE book SET pages = pages + 1;
PRAGMA journal_mode = persist; UPDATE book SET pages = pages + 1;
PRAGMA journal_mode = wal; UPDATE book SET pages = pages + 1; PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA mmap_size = 8388608; SELECT sum(length(title)), sum(pages) FROM book;
ATTACH 'side.db' AS side;
CREATE TABLE side.blobs AS SELECT id, zeroblob(id * 3) AS b FROM book;
SELECT count(*), sum(length(b)) FROM side.blobs;
PRAGMA journal_mode = delete;
BEGIN; UPDATE book SET title = upper(title) WHERE id < 100; DELETE FROM side.blobs WHERE id > 2000; COMMIT;
SELECT (SELECT count(*) FROM side.blobs), (SELECT title FROM book WHERE id = 99);
DETACH side;
PRAGMA temp_store = file; PRAGMA cache_size = 10;
CREATE TEMP TABLE big AS SELECT a.id * 3000 + b.id AS n, hex(zeroblob(40)) FROM book a, author b;
SELECT count(*), count(DISTINCT n) FROM big; SELECT n FROM big ORDER BY n % 1009, n LIMIT 3;
.backup copy.db
VACUUM;
PRAGMA auto_vacuum = full; VACUUM; DELETE FROM book WHERE id > 1500; PRAGMA integrity_check; PRAGMA foreign_key_check;
VACUUM INTO 'small.db';
.open copy.db
PRAGMA integrity_check; SELECT count(*), sum(pages) FROM book;
.open small.db
PRAGMA integrity_check; SELECT count(*), sum(pages) FROM book;
SELECT * FROM nowhere;
.quit
