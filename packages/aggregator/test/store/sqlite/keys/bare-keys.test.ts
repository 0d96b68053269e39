import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { IndexModel } from '../../../support/index-model.ts';

const IDS = 300;

const ids = fc.array(fc.integer({ min: 0, max: IDS - 1 }), { maxLength: 12 });
const part = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const act = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('add'), ids, hasText: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('expire'), parts: fc.array(part, { maxLength: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('forget'), forgotten: ids, isExpiredFirst: fc.boolean() }) },
); // prettier-ignore

function apply(model: IndexModel, one: typeof act extends fc.Arbitrary<infer A> ? A : never): void {
  const { events } = model;
  if ('ids' in one) model.add(one.ids, one.hasText);
  // Recent events are not in a run yet.
  else if ('parts' in one) model.expire(one.parts.map((at) => Math.ceil(at ** 0.3 * events.length)));
  else model.forget(one.forgotten, one.isExpiredFirst);
}

const step = fc.record({
  acts: fc.array(act, { maxLength: 3 }),
  work: fc.integer({ min: 0, max: 24 }),
  fate: fc.constantFrom('fails', 'reopen', ...Array.from({ length: 8 }, () => 'goes on')),
});

test('a key is known after any restart, with or without a text, until it is forgotten, and may then come again', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 60, maxLength: 120 }), (steps) => {
      const model = new IndexModel();
      for (const { acts, work, fate } of steps) {
        model.transaction(() => {
          for (const one of acts) apply(model, one);
          model.index.step(work);
        }, fate === 'fails');
        if (fate === 'reopen') model.reopen();
      }
      model.assertAll(IDS);
      model.reopen();
      model.assertAll(IDS);
    }),
    // Shrinking takes minutes.
    { numRuns: 60, endOnFailure: true },
  );
});

test('keys without texts are stored no longer than until a run holds them', () => {
  const model = new IndexModel();
  for (let i = 0; i < 40; i++)
    model.transaction(() => {
      model.add(Array.from({ length: 10 }, (_, n) => i * 10 + n), false); // prettier-ignore
      model.index.step(10);
    });
  while (model.index.isBusy) model.transaction(() => model.index.step(16));
  const rows = (): number => Number(model.db.prepare('SELECT count(*) AS n FROM bare_key').get()!['n']);
  assert.ok(model.index.sealedTo >= 360);
  assert.ok(rows() <= 40, `${rows()} rows`);
  // A start deletes what an earlier process left.
  model.db.exec('INSERT INTO bare_key SELECT first_offset - 400, entries FROM bare_key');
  model.reopen();
  while (model.index.isBusy) model.transaction(() => model.index.step(1));
  assert.equal(model.db.prepare('SELECT count(*) AS n FROM bare_key WHERE first_offset < 0').get()!['n'], 0);
  model.assertAll(400);
});

test('ids that are soon forgotten take no more memory than those that stay', () => {
  const model = new IndexModel();
  for (let i = 0; i < 100; i++) {
    model.transaction(() => {
      model.add([i], false);
      model.forget([i], false);
      model.index.step(1);
    });
  }
  assert.ok(model.index.sealedTo > 50, `sealed up to ${model.index.sealedTo}`);
  assert.equal(model.index.keys, 0);
});
