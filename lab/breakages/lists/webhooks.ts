import type { Area } from '../breakage.ts';

const SENDER = ['webhooks/sender.test.ts'];

/** One message, signed and sent; and lease ids, which are signed, too. */
export const webhooks: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'webhooks/public-address.ts',
      breaks: 'The service connects to a name that resolves to a private address.',
      find: 'const open = addresses.filter(({ address }) => isPublicAddress(address));',
      replace: 'const open = addresses;',
      tests: SENDER,
    },
    {
      file: 'webhooks/public-address.ts',
      breaks:
        'Only private networks are blocked, not the machine itself or the address at which clouds serve credentials.',
      find: "ipaddr.parse(address).range() === 'unicast'",
      replace: "ipaddr.parse(address).range() !== 'private'",
      tests: SENDER,
    },
    {
      file: 'webhooks/public-address.ts',
      breaks: 'An IPv6 address in a URL is not recognized, and is looked up as a name.',
      find: "return hostname.replace(/^\\[(.*)\\]$/, '$1');",
      replace: 'return hostname;',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The service connects to a private address that is written in the URL itself.',
      find: `if (!this.#options.allowPrivate && isIP(host) !== 0 && !isPublicAddress(host))
        throw new PrivateAddress(host);`,
      replace: '',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A definition with a private address is accepted.',
      find: 'if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) return new PrivateAddress(host).message;',
      replace: '',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The signature does not cover the time, so an old message can be sent again.',
      find: 'update(`${id}.${timestampS}.`)',
      replace: 'update(`${id}.`)',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The prefix of a secret is used as part of the secret.',
      find: "return Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');",
      replace: "return Buffer.from(secret, 'base64');",
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'Only the first of several secrets signs.',
      find: "secrets.map((secret) => signatureOf(secret, id, timestampS, body)).join(' ')",
      replace: 'signatureOf(secrets[0]!, id, timestampS, body)',
      tests: SENDER,
    },
    {
      file: 'store/news-of-steps.ts',
      breaks: 'A webhook whose url was changed keeps waiting for the next attempt with the old one.',
      find: "if (created.kind === 'changed') return newsOfResumption(created.state.id);",
      replace: '',
      tests: ['store/group-store.test.ts'],
    },
    {
      file: 'store/groups/push-steps.ts',
      breaks: "A failure of a webhook's old target counts against the new one.",
      find: 'if (!isSamePush(pushOf(row), target)) {',
      replace: 'if (pushOf(row) === null) {',
      tests: ['store/group-store-push.test.ts'],
    },
    {
      file: 'store/groups/push-steps.ts',
      breaks: 'A webhook that somebody has paused goes on when its secret is changed.',
      find: "return this.#forgive(nowMs, id, pushStateOf(row).pausedBy === 'request' ? 'request' : null);",
      replace: 'return this.#forgive(nowMs, id, null);',
      tests: ['store/group-store-push.test.ts'],
    },
    {
      file: 'store/groups/take.ts',
      breaks: 'An instance that has not heard of a pause goes on sending.',
      find: 'if (row.is_paused === 1) {',
      replace: 'if (row.is_paused === 2) {',
      tests: ['store/group-store-push.test.ts'],
    },
    {
      file: 'store/groups/group-steps.ts',
      breaks: 'A paused webhook stays paused when its url is changed.',
      find: `    this.#push.retarget(nowMs, id);
    return { kind: 'changed'`,
      replace: `    return { kind: 'changed'`,
      tests: ['store/group-store-push.test.ts'],
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A target that never answers holds up its group for ever.',
      find: 'AbortSignal.any([signal, timeout])',
      replace: 'signal',
      tests: SENDER,
      hangs: true,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A message in flight keeps the service from stopping.',
      find: 'AbortSignal.any([signal, timeout])',
      replace: 'timeout',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A kept-alive connection that the target closes at the moment of reuse counts as a failure.',
      find: "if (request.reusedSocket && error.code === 'ECONNRESET')",
      replace: "if (request.reusedSocket && error.code === 'EPIPE')",
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'An endless answer is read until the timeout, and counts as no answer.',
      find: 'if (bytes > ANSWER_BYTES_MAX) return;',
      replace: '',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The shortest secret that Standard Webhooks allows is refused.',
      find: 'bytes >= SECRET_BYTES_MIN &&',
      replace: 'bytes > SECRET_BYTES_MIN &&',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A password in a URL is kept and sent.',
      find: "target.username !== '' || target.password !== '' ||",
      replace: "target.username !== '' ||",
      tests: SENDER,
    },
    {
      file: 'groups/lease-id.ts',
      breaks: 'Lease ids can be guessed by counting, so anyone can acknowledge events of others.',
      find: 'const isOurs = timingSafeEqual(Buffer.from(mac!), expected);',
      replace: 'const isOurs = expected.length === mac!.length;',
      tests: ['groups/lease-id.test.ts'],
    },
    {
      file: 'groups/lease-id.ts',
      breaks: 'One lease id opens every lease of the group.',
      find: '.update(String(take))',
      replace: ".update(String(take).replace(/.*/, ''))",
      tests: ['groups/lease-id.test.ts'],
    },
  ],
};
