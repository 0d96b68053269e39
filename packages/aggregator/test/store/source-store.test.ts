import assert from 'node:assert/strict';
import { test } from 'node:test';
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
}
