import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom, withSeedOf } from '../lab/random.ts';
import { BrokenPromise } from '../torture/broken-promise.ts';
import { History } from '../torture/history/history.ts';

/** A history in the making, each step with the times at which it began and ended. */
class Told {
  readonly history: History;

  /** @param gone of these keys events may have been let go of */
  constructor(...gone: string[]) {
    this.history = new History((key) => gone.includes(key));
  }

  /** A publish; `told` is like `accepted 3`, one for each key, or null where no answer came. */
  publish(from: number, to: number, keys: string, told: string | null, content = 'as sent'): this {
    this.history.publish({
      client: 'publisher',
      from,
      to,
      events: keys.split(' ').map((key) => ({ key, content })),
      results:
        told?.split(', ').map((one) => {
          const [verdict, offset] = one.split(' ') as ['accepted' | 'duplicate' | 'conflict', string];
          return { verdict, offset: Number(offset) };
        }) ?? null,
    });
    return this;
  }

  /** A read; `seen` is like `1a 2b`, with a full stop where it was told that there is no more. */
  read(from: number, to: number, seen: string, { after = 0, content = 'as sent' } = {}): this {
    const events = [...seen.matchAll(/(\d+)(\w+)/g)].map(([, offset, key]) => ({
      offset: Number(offset),
      key: key!,
      content,
    }));
    this.history.read({ client: 'reader', from, to, after, events, isToEnd: seen.endsWith('.') });
    return this;
  }

  find(from: number, to: number, key: string, offset: number | null): this {
    this.history.find({ client: 'finder', from, to, key, offset });
    return this;
  }
}

/** By what happens, and where it must not: what the checker says about it. */
const GOOD: Readonly<Record<string, () => Told>> = {
  'nothing at all': () => new Told(),
  'one after another': () =>
    new Told()
      .publish(1, 2, 'a b', 'accepted 1, accepted 2')
      .publish(3, 4, 'c a', 'accepted 3, duplicate 1')
      .read(5, 6, '1a 2b 3c.'),
  'publishes at the same time, in either order': () =>
    new Told().publish(1, 9, 'a', 'accepted 2').publish(2, 3, 'b', 'accepted 1').read(10, 11, '1b 2a.'),
  'a retry that overtakes the first try, which is told duplicate': () =>
    new Told().publish(1, 9, 'a', 'duplicate 1').publish(2, 3, 'a', 'accepted 1'),
  'a publish without an answer that is stored much later': () =>
    new Told().publish(1, Infinity, 'a', null).read(2, 3, '.').read(8, 9, '1a.'),
  'a publish without an answer that is never stored': () =>
    new Told().publish(1, Infinity, 'a', null).publish(2, 3, 'b', 'accepted 1').read(8, 9, '1b.'),
  'a retry of one that was stored without an answer': () =>
    new Told().publish(1, Infinity, 'a', null).publish(2, 3, 'a', 'duplicate 1'),
  'reads that overlap a publish see it or not': () =>
    new Told().publish(1, 9, 'a', 'accepted 1').read(2, 8, '1a.').read(2, 4, '.').find(2, 3, 'a', null),
  'a page that ends amid a publish': () =>
    new Told()
      .publish(1, 2, 'a b', 'accepted 1, accepted 2')
      .read(3, 4, '1a')
      .read(3, 4, '2b.', { after: 1 }),
  'a conflict and a repeat within a publish': () =>
    new Told().publish(1, 2, 'a a', 'accepted 1, duplicate 1').publish(3, 4, 'a', 'conflict 1', 'another'),
  'an end of the log below what was let go of': () =>
    new Told('b').publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'b', 'accepted 2').read(5, 6, '1a.'),
  'offsets that nobody ever gets': () =>
    new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'b', 'accepted 5').read(5, 6, '1a 5b.'),
};

const BAD: Readonly<Record<string, readonly [() => Told, RegExp]>> = {
  'an event accepted twice': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'a', 'accepted 2'),
    /a at offset 1, as told before/,
  ],
  'two told that they stored the same event': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'a', 'accepted 1'),
    /a accepted once/,
  ],
  'a duplicate of nothing': [
    () => new Told().publish(1, 2, 'a', 'duplicate 1'),
    /of every event one publish that stored it/,
  ],
  'a duplicate of what was sent only afterwards': [
    () => new Told().publish(1, 2, 'a', 'duplicate 1').publish(3, 4, 'a', 'accepted 1'),
    /offset 1 stored no earlier: publisher was told accepted for a/,
  ],
  'a duplicate of what is sent afterwards and never answered': [
    () => new Told().publish(1, 2, 'a', 'duplicate 1').publish(3, Infinity, 'a', null),
    /a was sent from 3.0 ms on/,
  ],
  'a duplicate that is a conflict': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'a', 'duplicate 1', 'another'),
    /a conflict: stored is as sent, sent was another/,
  ],
  'a conflict that is none': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'a', 'conflict 1'),
    /a duplicate: stored is as sent/,
  ],
  'two events at one offset': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(1, 2, 'b', 'accepted 1'),
    /a at offset 1, as told before/,
  ],
  'an event that moves': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').read(3, 4, '2a.'),
    /a at offset 1, as told before/,
  ],
  'an event that changes': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').read(3, 4, '1a.', { content: 'changed' }),
    /as sent at offset 1, as before/,
  ],
  'an event that nobody sent': [
    () => new Told().read(3, 4, '1a.'),
    /of every event one publish that stored it/,
  ],
  'a later publish below an earlier one': [
    () => new Told().publish(1, 2, 'a', 'accepted 2').publish(3, 4, 'b', 'accepted 1'),
    /offset 1, and so 2, stored no earlier: publisher was told accepted for b/,
  ],
  'the same, where only a third tells': [
    () => new Told().publish(1, 2, 'a', 'accepted 2').publish(3, Infinity, 'b', null).read(5, 6, '1b 2a.'),
    /b was sent from 3.0 ms on/,
  ],
  'a read that misses what was acknowledged before it': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').read(3, 4, '.'),
    /reader read up to 0, the end/,
  ],
  'a search that does': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').find(3, 4, 'a', null),
    /finder looked for a and found nothing/,
  ],
  'a read that sees less than one before it': [
    () => new Told().publish(1, 9, 'a', 'accepted 1').read(2, 3, '1a').read(4, 5, '.'),
    /reader read up to 0, the end/,
  ],
  'a read that sees less than a search before it': [
    () => new Told().publish(1, 9, 'a', 'accepted 1').find(2, 3, 'a', 1).read(4, 5, '.'),
    /finder looked for a and found 1/,
  ],
  'a read of what is not sent yet': [
    () => new Told().read(1, 2, '1a').publish(3, 4, 'a', 'accepted 1'),
    /offset 1 stored no earlier/,
  ],
  'a hole that fills later': [
    () =>
      new Told()
        .publish(1, 9, 'a', 'accepted 1')
        .publish(1, 2, 'b', 'accepted 2')
        .read(3, 4, '2b.')
        .read(10, 11, '1a 2b.'),
    /no hole: offset 1 holds a/,
  ],
  'an acknowledged event that is lost below others': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'b', 'accepted 2').read(5, 6, '2b.'),
    /no hole: offset 1 holds a/,
  ],
  'an acknowledged event that is lost at the end': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').publish(3, 4, 'b', 'accepted 2').read(5, 6, '1a.'),
    /2 stored no earlier: reader read up to 1, the end/,
  ],
  'an end of the log below an acknowledged event, where nobody knows the one between': [
    () => new Told().publish(1, Infinity, 'a', null).publish(1, 2, 'b', 'accepted 2').read(3, 4, '.'),
    /2 stored no earlier: reader read up to 0, the end/,
  ],
  'a read out of order': [
    () => new Told().publish(1, 2, 'a b', 'accepted 1, accepted 2').read(5, 6, '2b 1a.'),
    /an offset above 2/,
  ],
  'a read that repeats an event': [
    () => new Told().publish(1, 2, 'a', 'accepted 1').read(5, 6, '1a 1a.'),
    /an offset above 1/,
  ],
  'an end of the log amid a publish': [
    () => new Told().publish(1, 9, 'a b', 'accepted 1, accepted 2').read(2, 3, '1a.'),
    /no end of the log amid a publish/,
  ],
  'a publish that others cut in two': [
    () => new Told().publish(1, 9, 'a b', 'accepted 1, accepted 3').publish(1, 9, 'c', 'accepted 2'),
    /side by side, the next at 2/,
  ],
};

for (const [what, told] of Object.entries(GOOD))
  test(`the checker of histories accepts ${what}`, () => told().history.check());

for (const [what, [told, says]] of Object.entries(BAD))
  test(`the checker of histories finds ${what}`, () =>
    assert.throws(
      () => told().history.check(),
      (error) => error instanceof BrokenPromise && says.test(error.message),
    ));

/** Operations of many clients on a log that is right, each with a moment of its own between its start and its end. */
function played(random: SeededRandom, operations: number): Told {
  const told = new Told();
  const log: string[] = [];
  for (let moment = 1; moment <= operations; moment++) {
    const [from, to] = [moment - random.between(0, 5), moment + random.between(0, 5)];
    const draw = random.whole(0, 9);
    const key = `k${random.whole(0, operations >> 2)}`;
    const at = log.indexOf(key);
    if (draw < 6) {
      if (at < 0) log.push(key);
      const result = at < 0 ? `accepted ${log.length}` : `duplicate ${at + 1}`;
      if (draw === 5) told.publish(from, Infinity, key, null);
      else told.publish(from, to, key, result);
    } else if (draw < 8) {
      const after = random.whole(0, log.length);
      const seen = log.slice(after).map((one, i) => `${after + 1 + i}${one}`);
      told.read(from, to, `${seen.join(' ')}.`, { after });
    } else told.find(from, to, key, at < 0 ? null : at + 1);
  }
  return told;
}

test('the checker of histories accepts whatever a log that is right does, and finds a single lie about its end', () =>
  withSeedOf('HISTORY_SEED', async ({ seed }) => {
    for (let run = 0; run < 50; run++) {
      const random = new SeededRandom(seed).fork(run);
      const told = played(random, 200);
      told.history.check();
      // The first event is there since long; whoever now says that there is none is wrong.
      told.read(150, 151, '.');
      assert.throws(() => told.history.check(), BrokenPromise);
    }
  }));
