import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ForgetPass } from '../../../../src/store/sqlite/keys/forget-pass.ts';
import { OffsetSet } from '../../../../src/store/offset-set.ts';
import { IndexModel } from '../../../support/index-model.ts';

const IDS = 2000;

const ids = fc.array(fc.integer({ min: 0, max: IDS - 1 }), { minLength: 10, maxLength: 40 });

const tenths = fc.constantFrom(...Array.from({ length: 11 }, (_, i) => i / 10));

const act = fc.record({
  ids,
  hasText: fc.boolean(),
  work: fc.integer({ min: 0, max: 40 }),
  fate: fc.constantFrom('fails', 'reopen', ...Array.from({ length: 12 }, () => 'goes on')),
  expired: tenths,
  // Now and then, so that there are large runs of which most is forgotten.
  steps: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 10, 40),
  /** Up to which part of the events, and which of them: all but each so-many-th. */
  passUpTo: tenths,
  passNot: fc.constantFrom(3, 20, 100),
});

test('a pass forgets exactly what is meant, in memory and in runs, while keys come, seals and merges go on, and processes are killed; and whoever reads beside the writer finds the rest by its offsets', () => {
  const seen = { shrunk: 0, merged: 0, passed: 0, reopened: 0 };
  fc.assert(
    fc.property(fc.array(act, { minLength: 60, maxLength: 100 }), (acts) => {
      const model = new IndexModel();
      for (const { ids: some, hasText, work, fate, expired, steps, passUpTo, passNot } of acts) {
        const fails = fate === 'fails';
        model.transaction(() => {
          model.add(some, hasText);
          const upTo = Math.floor(expired * model.events.length);
          model.expire(Array.from({ length: upTo }, (_, i) => i + 1));
          model.index.step(work);
        }, fails);
        const last = passUpTo * model.events.length;
        for (let i = 0; i < steps; i++)
          model.passSome((offset) => offset <= last && offset % passNot !== 0, fails && i === 0);
        if (model.isPassing) seen.passed += 1;
        if (expired > 0.8) model.assertAllByOffset();
        if (fate !== 'reopen') continue;
        if (model.isPassing) seen.reopened += 1;
        model.reopen();
      }
      model.assertAll(IDS);
      model.reopen();
      model.assertAll(IDS);
      seen.shrunk += model.shrunk;
      seen.merged += model.merged;
    }),
    // Shrinking takes minutes.
    { numRuns: 24, endOnFailure: true },
  );
  assert.ok(Object.values(seen).every((times) => times > 10), JSON.stringify(seen)); // prettier-ignore
});

test('runs of which nothing stays go, and those of which little stays shrink, with their filters', () => {
  const model = new IndexModel();
  const buckets = (): number => Number(model.db.prepare('SELECT count(*) AS n FROM key_block').get()!['n']);
  add(model, 0, 3000);
  finish(model);
  const before = buckets();
  // Every hundredth key stays.
  do model.passSome((offset) => offset % 100 !== 0);
  while (model.isPassing);
  finish(model);
  assert.equal(model.index.keys, 30);
  assert.ok(model.index.runs.every(({ level }) => level === 0));
  assert.ok(buckets() * 10 < before, `${before} buckets, then ${buckets()}`);
  const { sealedTo } = model.index;
  do model.passSome(() => true);
  while (model.isPassing);
  finish(model);
  assert.deepEqual([model.index.keys, model.index.runs.length], [0, 1]);
  assert.equal(model.index.sealedTo, sealedTo);
  model.reopen();
  assert.equal(model.index.sealedTo, sealedTo);
  add(model, 2900, 500);
  finish(model);
  model.assertAll(3500);
});

test('a process that dies while a run shrinks, after any of its steps, leaves every key that stays', () => {
  for (let steps = 0; steps < 24; steps++) {
    const model = new IndexModel();
    add(model, 0, 600);
    finish(model);
    do model.passSome((offset) => offset % 10 !== 0);
    while (model.isPassing);
    for (let i = 0; i < steps; i++) model.transaction(() => model.index.step(1));
    model.reopen();
    model.assertAll(600);
  }
});

test('keys that are forgotten give back their disk, although their run stays', () => {
  const model = new IndexModel();
  add(model, 0, 8000);
  finish(model);
  const pragma = (name: string): number =>
    Number(Object.values(model.db.prepare(`PRAGMA ${name}`).get()!)[0]);
  const used = (): number => pragma('page_count') - pragma('freelist_count');
  const before = used();
  do model.passSome((offset) => offset % 4 !== 0);
  while (model.isPassing);
  assert.ok(used() < before * 0.7, `${used()} of ${before} pages`);
});

test('a large run of which few keys are meant is passed over, and the pass tells from which offset on', () => {
  const model = new IndexModel();
  add(model, 0, 300);
  finish(model);
  const large = model.index.runs.find(({ level }) => level === 1)!;
  const pass = (count: number): { ids: number; passedOver: number } => {
    const meant = new OffsetSet();
    for (let i = 0; i < count; i++) meant.add(large.firstOffset + 3 + i);
    const forgetting = new ForgetPass(model.index, meant);
    let ids = 0;
    while (!forgetting.isDone) {
      let durable = (): void => {};
      model.transaction(() => {
        const some = forgetting.some();
        ids += some.ids;
        durable = some.durable;
      });
      durable();
    }
    return { ids, passedOver: forgetting.passedOver };
  };
  assert.deepEqual(pass(7), { ids: 0, passedOver: large.firstOffset + 3 });
  assert.deepEqual(pass(10), { ids: 10, passedOver: Infinity });
});

test('an id that was forgotten and came again is not forgotten with the first of its events', () => {
  const model = new IndexModel();
  model.transaction(() =>
    model.add(
      Array.from({ length: 20 }, (_, i) => i),
      false,
    ),
  );
  // A run holds all, and what a start would need is not deleted yet.
  while (model.index.sealedTo === 0) model.transaction(() => model.index.step(64));
  model.transaction(() => model.forget([0], true));
  model.transaction(() => model.add([0], false));
  do model.passSome((offset) => offset <= 20);
  while (model.isPassing);
  assert.equal(model.index.keys, 1);
  model.assertAll(20);
});

/** Adds keys without texts, in small commits. */
function add(model: IndexModel, from: number, count: number): void {
  for (let i = from; i < from + count; i += 10) {
    const ids = Array.from({ length: 10 }, (_, n) => i + n);
    model.transaction(() => {
      model.add(ids, false);
      model.index.step(10);
    });
  }
}

/** Does all seals and merges that are due. */
function finish(model: IndexModel): void {
  while (model.index.isBusy) model.transaction(() => model.index.step(64));
}

test('a set of offsets knows which are in it, how many, and the first one', () => {
  const offset = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 65_500, max: 131_100 }));
  fc.assert(
    fc.property(fc.array(offset), fc.boolean(), offset, offset, (some, isWhole, from, to) => {
      const set = new OffsetSet();
      // With a chunk in which none is missing.
      const whole = isWhole ? Array.from({ length: 65_600 }, (_, i) => 65_530 + i) : [];
      const offsets = [...new Set([...some, ...whole])].toSorted((a, b) => a - b);
      for (const one of offsets) set.add(one);
      const inRange = offsets.filter((one) => one >= from && one <= to);
      assert.deepEqual(set.range(from, to), { count: inRange.length, first: inRange[0] ?? null });
      for (const one of [from, to, 131_101]) assert.equal(set.has(one), offsets.includes(one));
      assert.equal(set.last, offsets.at(-1) ?? 0);
    }),
    { numRuns: 40 },
  );
});
