import { keysCommand } from './keys-command.ts';
import { ConfigError, readConfig, readEnvFile } from '../config.ts';

try {
  readEnvFile();
  const file = readConfig(process.env).apiKeysFile;
  process.exitCode = await keysCommand(process.argv.slice(2), file, process.stdout, process.stderr);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`keys: ${error.message}\n`);
  process.exitCode = 2;
}
