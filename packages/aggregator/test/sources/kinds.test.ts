import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sign as octokitSign } from '@octokit/webhooks-methods';
import { Webhook as SvixWebhook } from 'svix';
import { KIND_OF } from '../../src/sources/kinds.ts';
import { type KindName, type Received, Refusal, type Source } from '../../src/sources/source.ts';
import { type Parts, partsOfEach } from '../support/batch-parts.ts';
import { SENDERS, slackSignature, stripe, whsec } from '../support/senders.ts';

const NOW_MS = Date.parse('2026-01-02T03:04:05Z');

type Headers = Record<string, string>;

/** What a source of this kind makes of a request. */
async function received(
  kind: KindName,
  secrets: string[],
  body: string,
  headers: Headers,
  nowMs = NOW_MS,
): Promise<Received> {
  const { maxAgeMs } = KIND_OF[kind];
  const source: Source = { name: 's', kind, topic: `${kind}.{type}`, source: 's', secrets, maxAgeMs };
  return KIND_OF[kind].receive({ headers, body: Buffer.from(body), nowMs, bytesMax: 1e9 }, source);
}

/** The parts of the one event that a request brings. */
async function eventOf(...request: Parameters<typeof received>) {
  const what = await received(...request);
  assert.ok(what.kind === 'events');
  assert.equal(what.batch.count, 1);
  const [{ source, ...parts }] = partsOfEach(what.batch) as [Parts];
  assert.equal(source, 's');
  return parts;
}

/** Why a request is refused. */
async function refusalOf(...request: Parameters<typeof received>): Promise<string> {
  const error: unknown = await received(...request).then(
    () => assert.fail('it was not refused'),
    (cause: unknown) => cause,
  );
  assert.ok(error instanceof Refusal, String(error));
  for (const secret of request[1]) assert.ok(!error.message.includes(secret));
  return error.code;
}

for (const { kind, secrets, body: bodyOf, headers: headersOf, event, tellsTime } of SENDERS) {
  const [old, next] = secrets;

  test(`${kind}: a delivery becomes an event with the provider's id, time and type, whichever of the secrets signed it, and each attempt the same [SRC-5, SRC-11]`, async () => {
    const body = bodyOf('evt_1');
    for (const [secret, timeMs] of [
      [old, NOW_MS],
      [next, NOW_MS - 200_000],
      [next, NOW_MS + 200_000],
    ] as const) {
      const headers = await headersOf('evt_1', body, secret, timeMs);
      assert.deepEqual(await eventOf(kind, [...secrets], body, headers), event('evt_1'));
    }
  });

  test(`${kind}: what is changed, signed with another secret, or not signed is refused [SRC-5]`, async () => {
    const body = bodyOf('evt_1');
    const headers = await headersOf('evt_1', body, old, NOW_MS);
    assert.equal(await refusalOf(kind, [next], body, headers), 'wrong_signature');
    assert.equal(await refusalOf(kind, [old], `${body} `, headers), 'wrong_signature');
    const name = Object.keys(headers).find((one) => /signature|hmac/.test(one));
    const { [name!]: signature, ...unsigned } = headers;
    assert.equal(await refusalOf(kind, [old], body, unsigned), 'unsigned');
    for (const spoilt of ['', 'x', signature!.slice(0, -1), `${signature}00`, signature!.replace('=', '')]) {
      const code = await refusalOf(kind, [old], body, { ...unsigned, [name!]: spoilt });
      assert.ok(['unsigned', 'wrong_signature'].includes(code), `${spoilt} ${code}`);
    }
  });

  test(`${kind}: ${tellsTime ? 'a signature that is too old, or from the future, is refused, if it is right' : 'a signature tells no time'} [SRC-6]`, async () => {
    const body = bodyOf('evt_1');
    for (const timeMs of [NOW_MS - 301_000, NOW_MS + 301_000]) {
      const headers = await headersOf('evt_1', body, old, timeMs);
      if (!tellsTime) {
        assert.equal((await eventOf(kind, [old], body, headers)).id, 'evt_1');
        continue;
      }
      assert.equal(await refusalOf(kind, [old], body, headers), 'expired');
      assert.equal(await refusalOf(kind, [next], body, headers), 'wrong_signature');
    }
    assert.equal(KIND_OF[kind].maxAgeMs, tellsTime ? 300_000 : null);
  });
}

test('the examples that the providers publish are taken [SRC-5]', async () => {
  const hello = {
    'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
  };
  const github = await eventOf('github', ["It's a Secret to Everybody"], 'Hello, World!', hello);
  assert.equal(github.payload, '{"body":"Hello, World!"}');

  const command =
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
  const slack = await eventOf(
    'slack',
    ['8f742231b10e8888abcd99yyyzzz85a5'],
    command,
    {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': '1531420618',
      'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    },
    1_531_420_618_000,
  );
  assert.match(slack.id, /^sha256:[\da-f]{64}$/);
  assert.ok(slack.payload.startsWith('{"body":{"team_id":"T1DC2JH3J",'), slack.payload);
  assert.ok(!slack.payload.includes('xyzz0WbapA4vBCDEFasx0q6G'));

  const ping = '{"test": 2432232314}';
  const standard = await eventOf(
    'standard-webhooks',
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    ping,
    {
      'svix-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'svix-timestamp': '1614265330',
      'svix-signature': 'v2,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    1_614_265_330_000,
  );
  assert.deepEqual(standard, {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    topic: 'standard-webhooks.unknown',
    timestamp: '1970-01-01T00:00:00Z',
    payload: '{"body":{"test":2432232314}}',
  });
});

test("Svix's own library signs what is taken, by either name of its headers [SRC-11]", async () => {
  const body = '{"type":"a"}';
  const signature = new SvixWebhook(whsec(1)).sign('msg_1', new Date(NOW_MS), body);
  for (const prefix of ['svix', 'webhook']) {
    const headers = {
      [`${prefix}-id`]: 'msg_1',
      [`${prefix}-timestamp`]: `${NOW_MS / 1000}`,
      [`${prefix}-signature`]: `${signature} v1a,x`,
    };
    assert.equal((await eventOf('standard-webhooks', [whsec(1)], body, headers)).id, 'msg_1');
  }
});

test('an id that is not ASCII is signed as it was meant, whether it was sent as UTF-8 or as Latin-1 [SRC-5, SRC-11]', async () => {
  const body = '{"type":"a"}';
  for (const [id, charset] of [
    ['msg_é€', 'utf8'],
    ['msg_é', 'latin1'],
  ] as const) {
    const headers = {
      // As Node.js tells the bytes of a header.
      'webhook-id': Buffer.from(id, charset).toString('latin1'),
      'webhook-timestamp': `${NOW_MS / 1000}`,
      'webhook-signature': new SvixWebhook(whsec(1)).sign(id, new Date(NOW_MS), body),
    };
    assert.equal((await eventOf('standard-webhooks', [whsec(1)], body, headers)).id, id);
  }
});

test("GitHub's time is that of the narrowest thing that has one [SRC-11]", async () => {
  const timeOf = async (body: string) => {
    const headers = { 'x-github-delivery': 'g-1', 'x-hub-signature-256': await octokitSign('s', body) };
    return (await eventOf('github', ['s'], body, headers)).timestamp;
  };
  const job = (times: string) => `{"repository":{"updated_at":1700000009},"workflow_job":{${times}}}`;
  assert.equal(
    await timeOf(job('"started_at":1700000001,"completed_at":1700000002')),
    '2023-11-14T22:13:22.000Z',
  );
  assert.equal(await timeOf(job('"started_at":1700000001,"completed_at":null')), '2023-11-14T22:13:21.000Z');
  assert.equal(await timeOf(job('')), '2023-11-14T22:13:29.000Z');
  assert.equal(
    await timeOf('{"hook":[],"updated_at":"2026-01-02T03:04:05Z","issue":"x"}'),
    '2026-01-02T03:04:05Z',
  );
});

test("GitHub's forms hold the same JSON [SRC-11]", async () => {
  const body = `payload=${encodeURIComponent('{"zen": "a+b é"}')}`;
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'x-github-event': 'ping',
    'x-github-delivery': 'g-1',
    'x-hub-signature-256': await octokitSign('s', body),
  };
  const { payload, timestamp } = await eventOf('github', ['s'], body, headers);
  assert.equal(payload, '{"headers":{"x-github-event":"ping"},"body":{"zen":"a+b é"}}');
  assert.equal(timestamp, '1970-01-01T00:00:00Z');
});

test("Slack's token is no part of a body that is kept as text either [SRC-3, SRC-11]", async () => {
  for (const [body, kept] of [
    ['{"token":"xyzz0WbapA","a":1,"token":"xyzz0WbapA"}', '{"a":1}'],
    ['{"tok\\u0065n":"xyzz0WbapA","a":"\\ud83d"}', '{"a":"\\ud83d"}'],
    ['\ufeff{"token":"xyzz0WbapA","a":1,"a":2}', '{"a":2}'],
    ['{"a":1,"a":2}', '{"a":1,"a":2}'],
    ['token', 'token'],
  ] as const) {
    const headers = {
      'content-type': 'application/json',
      'x-slack-request-timestamp': `${NOW_MS / 1000}`,
      'x-slack-signature': slackSignature('shh', `${NOW_MS / 1000}`, body),
    };
    const { payload } = await eventOf('slack', ['shh'], body, headers);
    assert.deepEqual(JSON.parse(payload), { body: kept });
  }
});

test('a challenge of Slack is answered once it is known to be signed, and is no event [SRC-12]', async () => {
  const body =
    '{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}';
  const headers = (secret: string) => ({
    'content-type': 'application/json',
    'x-slack-request-timestamp': `${NOW_MS / 1000}`,
    'x-slack-signature': slackSignature(secret, `${NOW_MS / 1000}`, body),
  });
  assert.deepEqual(await received('slack', ['shh'], body, headers('shh')), {
    kind: 'answer',
    answer: {
      status: 200,
      type: 'text/plain; charset=utf-8',
      body: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P',
    },
  });
  assert.equal(await refusalOf('slack', ['shh'], body, headers('hush')), 'wrong_signature');
});

test('a signed delivery without the id of its kind is refused [SRC-8]', async () => {
  const body = '{"type":"x"}';
  const github = { 'x-hub-signature-256': await octokitSign('shh', body) };
  assert.equal(await refusalOf('github', ['shh'], body, github), 'invalid');
  const header = stripe.webhooks.generateTestHeaderString({
    payload: body,
    secret: 'shh',
    timestamp: NOW_MS / 1000,
  });
  assert.equal(await refusalOf('stripe', ['shh'], body, { 'stripe-signature': header }), 'invalid');
});
