import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { storeSuites } from '../support/store-suites.ts';

test('this suite runs on a store', () => assert.ok(storeSuites().length > 0));

for (const suite of storeSuites()) {
  suite('sources are kept by name, replaced, found and removed [SRC-1]', async ({ sources }) => {
    const [b, a] = [
      { name: 'b', definition: '{"b":"é\\u0000"}' },
      { name: 'a.1', definition: '{}' },
    ];
    assert.equal(await sources.put(b, null), 'created');
    assert.equal(await sources.put(a, null), 'created');
    assert.equal(await sources.put(a, null), 'same');
    const changed = { ...a, definition: '{"a":1}' };
    assert.equal(await sources.put(changed, null), 'changed');
    assert.deepEqual(await sources.list(), [changed, b]);
    assert.deepEqual(await sources.find(['b', 'c']), [b]);
    assert.deepEqual(await sources.find([]), []);
    assert.equal(await sources.remove('b', null), true);
    assert.equal(await sources.remove('b', null), false);
    assert.deepEqual(await sources.find(['b', 'a.1']), [changed]);
    assert.deepEqual(await sources.list(), [changed]);
  });

  suite(
    'of those who put the same source at once one has created or changed it [SRC-1]',
    async ({ sources }) => {
      for (const [definition, did] of [
        ['{}', 'created'],
        ['{"a":1}', 'changed'],
      ] as const) {
        const outcomes = await Promise.all(
          [1, 2, 3, 4].map(() => sources.put({ name: 'a', definition }, null)),
        );
        assert.deepEqual(outcomes.toSorted(), [did, 'same', 'same', 'same']);
      }
    },
  );

  suite('however many sources are put at once, there are as many as there may be', async ({ sources }) => {
    const put = (i: number) => sources.put({ name: `s-${i}`, definition: '{}' }, null);
    const outcomes = await Promise.all(Array.from({ length: LIMITS.sourcesMax + 3 }, (_, i) => put(i)));
    assert.equal(outcomes.filter((one) => one === 'full').length, 3);
    assert.equal((await sources.list()).length, LIMITS.sourcesMax);
    const [first] = await sources.list();
    assert.equal(await sources.put({ ...first!, definition: '{"a":1}' }, null), 'changed');
  });
}
