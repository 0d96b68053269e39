import { after } from 'node:test';
import { TestServer } from '../../../aggregator/test/support/server.ts';

/** One service for all tests of a file, since each start takes a while. Every test uses its own topic. */
export function sharedServer(env: Record<string, string> = {}): Promise<TestServer> {
  return TestServer.start({ after }, env);
}
