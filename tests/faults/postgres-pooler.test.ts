import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Site } from '../../lab/aggregator-process.ts';
import { PostgresServer } from '../../lab/postgres-server.ts';
import { pathOf } from '../../lab/repository.ts';
import { poolerMissing, startPooler } from '../support/pgbouncer.ts';
import { SteadyPublishers } from '../support/steady-publishers.ts';

const TIMEOUT = { timeout: 120_000 };
const MOVE = pathOf('packages/aggregator/src/programs/move.ts');

const missing = poolerMissing();
if (missing === null) testsBehindPoolers();
else if (process.env['REQUIRE_POOLER'] === '1') {
  test('a pooler can be run, as REQUIRE_POOLER=1 asks', () => assert.fail(missing));
} else test('a service behind a pooler', { skip: missing }, () => {});

async function serverFor(t: TestContext): Promise<PostgresServer> {
  const server = await PostgresServer.start();
  t.after(() => server.close());
  return server;
}

function testsBehindPoolers(): void {
  for (const more of ['', 'server_round_robin = 1', 'default_pool_size = 1']) {
    test(
      `a pooler in transaction mode is refused in one line (${more || 'as it comes'})`,
      TIMEOUT,
      async (t) => {
        const address = await startPooler(t, await serverFor(t), 'transaction', more);
        const { stderr } = await new Site(t).fail({ settings: { STORE_URL: address } });
        assert.match(
          stderr,
          /^chronicleweaver: STORE_URL: a pooler stands before the server and gives each transaction another session: .*pool_mode = session\)\n$/,
        );
      },
    );
  }

  test('a move through a pooler in transaction mode is refused in one line, and ends', TIMEOUT, async (t) => {
    const address = await startPooler(t, await serverFor(t), 'transaction');
    const program = new Site(t).run([process.execPath, MOVE, '--from', address, '--to', 'sqlite:new.db']);
    assert.equal((await program.exit(30_000)).code, 2, program.printed());
    assert.match(program.stderr, /^move: a pooler stands before the server[^\n]*\n$/);
  });

  test('a pooler in statement mode is refused in one line', TIMEOUT, async (t) => {
    const address = await startPooler(t, await serverFor(t), 'statement');
    const { stderr } = await new Site(t).fail({ settings: { STORE_URL: address } });
    assert.match(stderr, /^chronicleweaver: STORE_URL: [^\n]*(pooler|pooling)[^\n]*\n$/);
  });

  test(
    'a pooler in session mode is as good as the server: events are stored once, and news comes at once',
    TIMEOUT,
    async (t) => {
      const server = await serverFor(t);
      const address = await startPooler(t, server, 'session');
      const [one, other] = [new Site(t), new Site(t)];
      const first = await one.start({ settings: { STORE_URL: address } });
      const second = await other.start({ settings: { STORE_URL: address } });
      const publishers = new SteadyPublishers(first);
      await publishers.more(100);
      await server.stop('immediate');
      await server.start();
      await publishers.more(100);
      await publishers.stop();
      assert.deepEqual(publishers.refusals, []);
      assert.deepEqual((await second.events()).events, (await first.events()).events);
      for (const { logs } of [second])
        assert.ok(!logs.some(({ msg }) => msg.includes('no notifications come')));
      await first.stop();
      await second.stop();
    },
  );
}
