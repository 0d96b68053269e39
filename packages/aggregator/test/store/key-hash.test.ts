import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyHasher } from '../../src/store/key-hash.ts';
import { batchOf, eventWith } from '../support/events.ts';

const SECRET = Buffer.from('33343d839f389f004fe6982339cf7a41', 'hex');

function hex(hasher: KeyHasher): string[] {
  return [hasher.k0, hasher.k1, hasher.k2, hasher.k3].map((word) =>
    (word >>> 0).toString(16).padStart(8, '0'),
  );
}

test('Chaskey with 8 rounds computes the tags that its authors published', () => {
  const hasher = new KeyHasher(SECRET);
  const message = Buffer.from(Array.from({ length: 33 }, (_, i) => i));
  // No byte, less than a block, one block, two blocks, and one byte more than each of these.
  const published = [
    [0, '792e8fe5', '75ce87aa', '2d1450b5', '1191970b'],
    [1, '13a9307b', '50e62c89', '4577bd88', 'c0bbdc18'],
    [2, '55df8922', '2c7ff577', '73809ef4', '4e5084c0'],
    [16, '79271ca9', 'd66a1c71', '81ca474e', '49831cad'],
    [17, '048da968', '4e25d096', '2d6cf897', 'bc3959ca'],
    [32, '60b3f7af', '37eee7c8', '836cfd98', '782ca060'],
    [33, 'df44ea33', 'b0b2c398', '0583ce6f', '846d823e'],
  ] as const;
  for (const [length, ...tag] of published) {
    hasher.hashBytes(message, length, 8);
    assert.deepEqual(hex(hasher), tag);
  }
});

test('an identity depends on topic and id alone, and is the same when storing and when looking up', () => {
  const hasher = new KeyHasher(SECRET);
  const ids = ['', 'a', 'ü'.repeat(15), 'x'.repeat(16), 'x'.repeat(17), '😀'.repeat(511)].map(
    (id) => `${id}!`,
  );
  const seen = new Set<string>();
  for (const event_id of ids) {
    for (const topic of ['t', 'tt', 'é']) {
      hasher.hashKey(batchOf(eventWith({ event_id, topic })), 0);
      const stored = hex(hasher);
      hasher.hashKey(batchOf(eventWith({ event_id, topic, source: 'other', payload: {} })), 0);
      assert.deepEqual(hex(hasher), stored);
      hasher.hashNames(topic, event_id);
      assert.deepEqual(hex(hasher), stored);
      seen.add(stored.join());
    }
  }
  assert.equal(seen.size, ids.length * 3);
});

test('a different secret gives different identities', () => {
  const [a, b] = [new KeyHasher(SECRET), new KeyHasher(Buffer.alloc(16, 1))];
  a.hashNames('t', 'id');
  b.hashNames('t', 'id');
  assert.notDeepEqual(hex(a), hex(b));
});

test('a digest depends on source, timestamp and payload, not on the id', () => {
  const hasher = new KeyHasher(SECRET);
  const digest = (change: Parameters<typeof eventWith>[0]) => hasher.digest(batchOf(eventWith(change)), 0);
  const base = digest({});
  assert.equal(digest({ event_id: 'other' }), base);
  const others = [
    digest({ source: 'app' }),
    digest({ timestamp: '2025-10-28T10:00:01Z' }),
    digest({ payload: { message: 'order placed', amount: 12.6 } }),
    digest({ payload: {} }),
  ];
  assert.equal(new Set([base, ...others]).size, 5);
});
