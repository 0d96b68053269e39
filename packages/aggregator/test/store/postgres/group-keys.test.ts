import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { EventBatch } from '../../../src/event/event-batch.ts';
import { keysOf as parametersOf } from '../../../src/store/postgres/commit-values.ts';
import { GroupKeys } from '../../../src/store/postgres/group-keys.ts';

type Key = readonly [number, number, number, number];

const word = fc.constantFrom(0, 1, -1, 0x7fff_ffff, -0x8000_0000);
const group: fc.Arbitrary<readonly Key[]> = fc.array(fc.tuple(word, word, fc.constantFrom(0, 1), word), {
  maxLength: 40,
});

/** Before the elements of an array with one dimension. */
const HEADER_BYTES = 20;

/** The keys of a group whose events have these identities. */
function keysOf(identities: readonly Key[]): GroupKeys {
  const digest = (_: EventBatch, i: number): number => 100 + i;
  const hasher = { k0: 0, k1: 0, k2: 0, k3: 0, replaced: 0, hashKey, digest };
  function hashKey(_: EventBatch, i: number): void {
    [hasher.k0, hasher.k1, hasher.k2, hasher.k3] = identities[i]!;
  }
  const { length: count } = identities;
  return new GroupKeys(
    { count, bytes: new Uint8Array(), spans: new Int32Array(), timesMs: new Float64Array() },
    hasher,
  );
}

/** As the database compares them. */
function bytesOf(key: Key): Buffer {
  return Buffer.from(Int32Array.from(key).buffer).swap32();
}

test('of each event the first one with its identity is known, and so is that of any other group', () => {
  fc.assert(
    fc.property(group, group, (mine, others) => {
      const keys = keysOf(mine);
      const names = mine.map(String);
      assert.deepEqual([...keys.firsts], names.map((name) => names.indexOf(name))); // prettier-ignore
      const asked = keysOf(others);
      for (const [i, other] of others.entries()) {
        assert.equal(keys.firstWith(asked.words, i * 4), names.indexOf(String(other)));
      }
    }),
  );
});

test('events are sorted by the bytes of their identities, whose first words may be the same', () => {
  fc.assert(
    fc.property(group, (identities) => {
      const keys = keysOf(identities);
      const distinct = Int32Array.from(identities.keys().filter((i) => keys.firsts[i] === i));
      const expected = [...distinct].toSorted((a, b) =>
        Buffer.compare(bytesOf(identities[a]!), bytesOf(identities[b]!)),
      );
      assert.deepEqual([...keys.sorted(distinct)], expected);
    }),
  );
});

test('keys go to the database in the order of their bytes, each with its place and digest', () => {
  fc.assert(
    fc.property(group, (identities) => {
      const keys = keysOf(identities);
      const fresh = Int32Array.from(identities.keys().filter((i) => keys.firsts[i] === i));
      const freshPlaces = Int32Array.from(identities.keys(), (i) => fresh.indexOf(i));
      const [places, digests, hashes] = parametersOf(keys, { fresh, freshPlaces });
      const sent = Array.from(fresh, (_, i) => ({
        hash: hashes!.toString('hex', HEADER_BYTES + i * 20 + 4, HEADER_BYTES + i * 20 + 20),
        place: places!.readInt32BE(HEADER_BYTES + i * 8 + 4),
        digest: digests!.readInt32BE(HEADER_BYTES + i * 8 + 4),
      }));
      const expected = Array.from(fresh, (event, place) => ({
        hash: bytesOf(identities[event]!).toString('hex'),
        place,
        digest: 100 + event,
      }));
      assert.deepEqual(sent, expected.toSorted((a, b) => (a.hash < b.hash ? -1 : 1))); // prettier-ignore
    }),
  );
});
