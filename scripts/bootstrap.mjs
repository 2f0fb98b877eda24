// Brings a bare checkout to life: `node scripts/bootstrap.mjs demo | test | start | verify [arguments]`.
//
// It runs before anything is installed, on whatever Node the machine has, so: no dependencies, no TypeScript,
// no syntax newer than Node 18. Everything after it runs on the Node this repository pins.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const commands = ['demo', 'test', 'start', 'verify'];
const stampFile = join(root, 'node_modules', '.bootstrap.json');
const onWindows = process.platform === 'win32';
const oldestNode = 18;

/** A failure the person in front of the terminal can act on: printed as one sentence, without a stack. */
class BootstrapError extends Error {}

async function main() {
  const [command, ...args] = process.argv.slice(2);
  if (command === undefined || !commands.includes(command)) {
    throw new BootstrapError(`Usage: node scripts/bootstrap.mjs ${commands.join(' | ')} [arguments]`);
  }
  checkNode();
  const pnpmVersion = readPnpmVersion();
  checkWritable();

  const inputs = hashInputs();
  const stamp = readStamp();
  const installed = stamp.inputs === inputs && existsSync(stamp.pnpm ?? '') && everyPackageIsLinked();
  const pnpm = installed ? stamp.pnpm : await findPnpm(pnpmVersion);
  if (!installed) {
    say('installing dependencies');
    await install(pnpm);
    writeFileSync(stampFile, JSON.stringify({ inputs, pnpm }));
  }

  say('building');
  await mustSucceed(pnpm, ['run', '--silent', 'build'], 'The build failed: see the compiler messages above.');

  say(`running ${command}${args.length > 0 ? ` ${args.join(' ')}` : ''}`);
  await become(pnpm, ['run', '--silent', `${command}:run`, ...args]);
}

function checkNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < oldestNode) {
    throw new BootstrapError(
      `Node ${process.versions.node} is too old: install Node ${oldestNode} or newer from https://nodejs.org and run this again.`,
    );
  }
}

function readPnpmVersion() {
  const missing = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', 'packages'].filter(
    (name) => !existsSync(join(root, name)),
  );
  if (missing.length > 0) {
    throw new BootstrapError(
      `"${root}" is not a complete checkout (no ${missing.join(', no ')}): clone the whole repository and run this there.`,
    );
  }
  const { packageManager = '' } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const version = /^pnpm@(\d+\.\d+\.\d+)/.exec(packageManager)?.[1];
  if (version === undefined) {
    throw new BootstrapError(
      `package.json names "${packageManager}" as packageManager, expected pnpm@x.y.z.`,
    );
  }
  return version;
}

function checkWritable() {
  const probe = join(root, 'node_modules', `.writable-${process.pid}`);
  try {
    mkdirSync(dirname(probe), { recursive: true });
    writeFileSync(probe, '');
    rmSync(probe);
  } catch (error) {
    throw new BootstrapError(
      `Cannot write to "${root}" (${error.code}): dependencies and build output go there, so use a checkout you can write to, on a disk with room.`,
    );
  }
}

/** Everything that decides what an install would produce. The pinned Node is in the lockfile, so the outer one is not. */
function hashInputs() {
  const manifests = workspaceFolders().map((folder) => join(folder, 'package.json'));
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', ...manifests]) {
    hash.update(`\0${file}\0`);
    if (existsSync(join(root, file))) hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

function workspaceFolders() {
  return ['packages', 'apps', 'examples']
    .filter((parent) => existsSync(join(root, parent)))
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(parent, name)))
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .sort((one, other) => (one < other ? -1 : 1));
}

/** A package that is new on this branch, or whose `node_modules` someone removed, needs an install whatever the stamp says. */
function everyPackageIsLinked() {
  return workspaceFolders().every((folder) => {
    const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const dependencies = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    return dependencies.every((name) => existsSync(join(root, folder, 'node_modules', name)));
  });
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    // No stamp, or a torn one: either way nothing is known to be installed.
    return {};
  }
}

/** The pinned pnpm as a file to execute: the one on PATH when it is the right version, else npx's cached copy. */
async function findPnpm(version) {
  const onPath = fileOnPath('pnpm', process.env.PATH);
  if (onPath !== undefined && (await capture(onPath, ['--version'])).stdout.trim() === version) return onPath;

  if (fileOnPath('npx', process.env.PATH) === undefined) {
    throw new BootstrapError(
      'npx is not on PATH: it comes with npm, so install npm (https://docs.npmjs.com/downloading-and-installing-node-js-and-npm) and run this again.',
    );
  }
  say(`bringing pnpm ${version} through npx`);
  // npx puts the folder of the wanted binary first on PATH; its own settings would follow pnpm around, so we only ask where it is.
  const found = await capture(
    'npx',
    ['--yes', `--package=pnpm@${version}`, '--', 'node', '-p', 'process.env.PATH'],
    {
      npm_config_fetch_retries: '1',
      npm_config_fetch_retry_mintimeout: '1000',
    },
  );
  const pnpm = found.status === 0 ? fileOnPath('pnpm', lastLine(found.stdout)) : undefined;
  if (pnpm === undefined) throw explainInstallFailure(`npx could not bring pnpm ${version}`, found.output);
  return pnpm;
}

function fileOnPath(name, path = '') {
  const names = onWindows ? [`${name}.exe`, `${name}.cmd`] : [name];
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .flatMap((folder) => names.map((file) => join(folder, file)))
    .find((file) => existsSync(file));
}

async function install(pnpm) {
  rmSync(stampFile, { force: true });
  const args = ['install', '--frozen-lockfile', '--reporter=append-only'];
  // Retried enough for a hiccup; a registry that is not there is reported within a minute.
  const patience = { pnpm_config_fetch_retry_mintimeout: '1000', pnpm_config_fetch_retry_maxtimeout: '3000' };
  const result = await capture(pnpm, args, patience, (chunk) => process.stderr.write(chunk));
  if (result.status !== 0) throw explainInstallFailure('pnpm install failed', result.output);
}

function explainInstallFailure(what, output) {
  const network =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/i;
  const offline = /network|dns error|error sending request|failed to lookup address|META_FETCH_FAIL/i;
  const code = network.exec(output)?.[0] ?? (offline.test(output) ? 'no answer' : undefined);
  if (code !== undefined) {
    return new BootstrapError(
      `${what}: the npm registry cannot be reached (${code}), so connect to the network, or point npm at a registry or proxy you can reach (npm config set registry URL), and run this again.`,
    );
  }
  if (/ENOSPC|No space left/i.test(output)) {
    return new BootstrapError(`${what}: the disk is full, so free about 1 GB and run this again.`);
  }
  if (/OUTDATED_LOCKFILE|frozen-lockfile/i.test(output)) {
    return new BootstrapError(
      `${what}: pnpm-lock.yaml does not match the package.json files, so run "npx pnpm@${readPnpmVersion()} install" and commit the lockfile.`,
    );
  }
  const tail = output.trim().split('\n').slice(-15).join('\n');
  return new BootstrapError(`${what}: its last words were\n${tail}\nFix that and run this again.`);
}

async function mustSucceed(file, args, message) {
  const { status } = await wait(start(file, args, { stdio: 'inherit' }));
  if (status !== 0) throw new BootstrapError(message);
}

/** Hands the terminal to the command and leaves with its exit code or by its signal, as if it had been started directly. */
async function become(file, args) {
  // Before the child starts, or a signal in between would end us and leave the child alone.
  const forward = (signal) => child.kill(signal);
  // A terminal sends Ctrl-C to the whole foreground group: sending it on would make one keypress look like two.
  const fromTerminal = process.stdin.isTTY === true;
  process.on('SIGINT', fromTerminal ? () => undefined : forward);
  process.on('SIGTERM', forward);
  process.on('SIGHUP', forward);
  const child = start(file, args, { stdio: 'inherit' });
  const { status, signal } = await wait(child);
  if (signal !== null) {
    process.exitCode = 128 + constants.signals[signal];
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    return;
  }
  process.exitCode = status;
}

/** Runs to the end and keeps both streams together, for a message that has to be explained. */
async function capture(file, args, extraEnv = {}, onChunk = () => undefined) {
  const child = start(file, args, { stdio: ['ignore', 'pipe', 'pipe'] }, extraEnv);
  let output = '';
  let stdout = '';
  for (const stream of [child.stderr, child.stdout]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      output += chunk;
      if (stream === child.stdout) stdout += chunk;
      onChunk(chunk);
    });
  }
  const { status } = await wait(child);
  return { status, stdout, output };
}

function start(file, args, options, extraEnv = {}) {
  const env = { ...innerEnvironment(), ...extraEnv };
  // Windows starts .cmd files only through its shell.
  return spawn(file, args, { cwd: root, env, shell: onWindows, ...options });
}

function wait(child) {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(
        new BootstrapError(
          `Cannot start "${child.spawnfile}" (${error.code}): reinstall npm and run this again.`,
        ),
      );
    });
    child.once('close', (status, signal) => resolve({ status, signal }));
  });
}

/**
 * The environment without what the outer npm exported about itself: the inner pnpm and npm take such variables for
 * settings and warn about each they do not know. Settings about reaching a registry are the user's, and stay.
 */
function innerEnvironment() {
  const kept =
    /^npm_config_(registry|.*proxy|cafile|ca|cert|key|strict_ssl|cache|userconfig|globalconfig|\/\/.*|@.*)$/i;
  const entries = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || kept.test(name));
  const env = Object.fromEntries(entries);
  if (env.npm_config_registry !== undefined) env.pnpm_config_registry ??= env.npm_config_registry;
  const path = Object.keys(env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH';
  env[path] = [join(root, 'node_modules', '.bin'), env[path]].filter(Boolean).join(delimiter);
  return env;
}

function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? '';
}

function say(line) {
  process.stderr.write(`bootstrap: ${line}\n`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  process.stderr.write(`bootstrap: ${error.message}\n`);
  process.exitCode = 1;
}
