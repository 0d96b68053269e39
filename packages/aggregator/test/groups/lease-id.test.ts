import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLeaseIds, isLeaseId, leasesOf } from '../../src/groups/lease-id.ts';

const SECRET = Buffer.alloc(16, 1);

test('an id stands for its take and offset, and is valid only in its own group [GRP-11]', () => {
  const [seventh, eighth] = [createLeaseIds(SECRET, 7), createLeaseIds(SECRET, 8)];
  const given = [seventh(1), seventh(40), eighth(2 ** 40)];
  const [head, offset, mac] = seventh(1).split('.') as [string, string, string];
  const [otherHead, , otherMac] = eighth(1).split('.') as [string, string, string];
  const invented = [
    [otherHead, offset, mac],
    [head, offset, otherMac],
    [head, offset, mac.replace(/./, (first) => (first === 'A' ? 'B' : 'A'))],
    createLeaseIds(Buffer.alloc(16, 2), 7)(1).split('.'),
  ].map((parts) => parts.join('.'));
  for (const id of [...given, ...invented]) assert.ok(isLeaseId(id), id);
  const { takes, offsets } = leasesOf(SECRET, [...given, ...invented]);
  assert.deepEqual([...takes], [7, 7, 8, 0, 0, 0, 0]);
  assert.deepEqual([...offsets], [1, 40, 2 ** 40, 0, 0, 0, 0]);
});
