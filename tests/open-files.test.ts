import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { RawConnection, requestText } from '../packages/aggregator/test/support/raw-http.ts';
import { LEVEL, Site } from '../lab/aggregator-process.ts';

const FILES = 160;
const STRANGERS = 400;

test(
  'more connections than allowed open files leave the service enough files to store and to read [SYS-7]',
  { timeout: 60_000 },
  async (t) => {
    const site = new Site(t);
    const aggregator = await site.start({ under: ['sh', '-c', `ulimit -n ${FILES}; exec "$0" "$@"`] });
    const told = aggregator.logs.find(({ openFilesMax }) => openFilesMax === FILES);
    assert.equal(told?.level, LEVEL.warn);

    const publisher = await RawConnection.open(t, aggregator.url);
    const publish = async (id: string): Promise<void> => {
      const head = { 'content-type': 'application/json' };
      publisher.send(requestText('POST /publish', head, JSON.stringify(eventOf(id))));
      const response = await publisher.response();
      assert.equal(response.status, 200, await response.text());
    };
    await publish('before');
    const strangers = Array.from({ length: STRANGERS }, () => {
      const socket = connect(aggregator.port, '127.0.0.1');
      // The service closes most of them.
      socket.on('error', () => undefined);
      return socket;
    });
    await Promise.all(strangers.map((socket) => once(socket, 'connect')));
    for (let i = 0; i < 5; i++) await publish(`amid-${i}`);
    publisher.send(requestText('GET /docs/static/swagger-ui.css'));
    assert.equal((await publisher.response()).status, 200, 'a file can be opened');
    for (const stranger of strangers) stranger.destroy();
    publisher.leave();

    const answers = (): Promise<boolean> =>
      fetch(`${aggregator.url}/docs`).then(
        ({ status }) => status === 200,
        () => false,
      );
    while (!(await answers()));
    assert.equal((await aggregator.events()).count, 6);
    await aggregator.publish(eventOf('after'));
    await aggregator.stop();
    assert.deepEqual(
      aggregator.logs.filter(({ level }) => level >= LEVEL.error),
      [],
    );
  },
);

function eventOf(id: string): Event {
  return { event_id: id, topic: 'orders', source: 'web', payload: {}, timestamp: '2025-10-28T10:00:00Z' };
}
