/**
 * Makes the clients of `catalog.ts` available: what is found stays, what is missing is installed where this machine
 * allows it, and the rest is reported with the reason. Never fails; the tests of a missing client are skipped by name.
 * `npm test` runs this first; alone: `node e2e/clients/install.ts`.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type ClientEntry, catalog, type Source } from './catalog.ts'
import { type FoundClient, findProgram } from './find.ts'
import {
  clientBinFolder,
  clientPackagesFolder,
  clientsFile,
  packedBinariesFolder,
  repositoryFolder,
} from './folders.ts'
import type { ClientsFile } from './index.ts'

const run = promisify(execFile)
const aptSeconds = 600
const goSeconds = 400
const npmSeconds = 400
/** Since this one, Go fetches the newer Go that a module asks for, unless told not to. */
const goMinor = 21

/** Writes `clients.json` and prints a line for each client. */
async function installClients(): Promise<void> {
  await mkdir(clientBinFolder, { recursive: true })
  const outcome = new Map<string, FoundClient | { missing: string }>()
  const entries: readonly ClientEntry[] = catalog
  await Promise.all(
    entries.map(async (entry) => {
      const found = await entry.find()
      if (found) report(outcome, entry, found, 'found')
    }),
  )
  const absent = (kind: Source['kind']) =>
    entries.filter((entry) => entry.source.kind === kind && !outcome.has(entry.name))
  for (const [kind, install] of [
    ['binaries', unpackBinaries],
    ['apt', installPackages],
    ['go', installModule],
    ['npm', installNodePackage],
  ] as const) {
    // One call of apt for all its packages; of Go and npm, one each, with its own time limit and reason.
    const missing = absent(kind)
    const batches =
      kind === 'go' || kind === 'npm' ? missing.map((entry) => [entry]) : missing.length > 0 ? [missing] : []
    for (const batch of batches) {
      const began = performance.now()
      const reason = await install(batch.map(({ source }) => source)).catch(reasonOf)
      const seconds = ((performance.now() - began) / 1000).toFixed(0)
      for (const entry of batch) {
        const found = await entry.find()
        report(
          outcome,
          entry,
          found ?? { missing: reason ?? 'not there after installing' },
          `installed in ${seconds} s`,
        )
      }
    }
  }
  const written: ClientsFile = Object.fromEntries(entries.map(({ name }) => [name, outcome.get(name)!]))
  await mkdir(dirname(clientsFile), { recursive: true })
  await writeFile(`${clientsFile}.part`, `${JSON.stringify(written, undefined, 2)}\n`)
  await rename(`${clientsFile}.part`, clientsFile)
}

function report(
  outcome: Map<string, FoundClient | { missing: string }>,
  { name }: ClientEntry,
  what: FoundClient | { missing: string },
  how: string,
): void {
  outcome.set(name, what)
  const text = 'missing' in what ? `skipped: ${what.missing}` : `${what.version} ${how} (${what.path})`.trimStart()
  console.log(`client ${name.padEnd(16)} ${text}`)
}

/** Each installer answers with a reason why it could not install, or with nothing. */
type Installer = (sources: readonly Source[]) => Promise<string | undefined>

const unpackBinaries: Installer = async () => {
  const unpack = join(packedBinariesFolder, 'unpack')
  if (!existsSync(unpack)) return 'not on PATH, and no package registry delivers it'
  await run(unpack, [clientBinFolder], { timeout: 120_000 })
  return undefined
}

const installPackages: Installer = async (sources) => {
  if (process.getuid?.() !== 0) return 'not installed, and only root can install it'
  if (!(await isDebian())) return 'not installed, and this is no Debian'
  const packages = [...new Set(sources.flatMap((source) => (source.kind === 'apt' ? [source.package] : [])))]
  const apt = (...argumentList: readonly string[]) =>
    run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...argumentList], {
      timeout: aptSeconds * 1000,
      maxBuffer: 64 << 20,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  const install = () => apt('install', '-y', '--no-install-recommends', ...packages)
  console.log(`apt-get install ${packages.join(' ')}`)
  // The package lists of a fresh machine are empty, those of an old one name files that are gone.
  await install().catch(async () => {
    await apt('update')
    await install()
  })
  return undefined
}

const isDebian = async () => /^ID(_LIKE)?=.*debian/m.test(await readFile('/etc/os-release', 'utf8').catch(() => ''))

const installModule: Installer = async ([source]) => {
  if (source?.kind !== 'go') throw new Error('not a Go module')
  const go = await findProgram('go')
  if (!go) return 'not installed, and there is no Go to build it with'
  const { stdout } = await run(go, ['env', 'GOVERSION'])
  const minor = Number(/^go1\.(\d+)/.exec(stdout)?.[1] ?? 0)
  if (minor < goMinor) return `not installed, and ${stdout.trim()} is too old to build it`
  console.log(`go install ${source.module}@${source.version}`)
  await run(go, ['install', `${source.module}@${source.version}`], {
    cwd: repositoryFolder,
    timeout: goSeconds * 1000,
    maxBuffer: 64 << 20,
    env: { ...process.env, GOBIN: clientBinFolder, GOFLAGS: '' },
  })
  return undefined
}

/** Without the packages' own scripts: nothing is compiled, and nothing else fetched. */
const installNodePackage: Installer = async ([source]) => {
  if (source?.kind !== 'npm') throw new Error('not an npm package')
  const npm = await findProgram('npm')
  if (!npm) return 'not installed, and there is no npm to fetch it with'
  const folder = join(clientPackagesFolder, source.package)
  await mkdir(folder, { recursive: true })
  // Without it npm looks for one further up.
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, overrides: source.overrides ?? {} }))
  const wanted = `${source.package}@${source.version}`
  console.log(`npm install ${wanted}`)
  await run(npm, ['install', '--ignore-scripts', '--no-audit', '--no-fund', wanted], {
    cwd: folder,
    timeout: npmSeconds * 1000,
    maxBuffer: 64 << 20,
  })
  return undefined
}

/** The last line that a failed command wrote, or that it was too slow. */
function reasonOf(error: Error & { killed?: boolean; stderr?: string; cmd?: string }): string {
  if (error.killed) return `installing took too long: ${error.cmd ?? ''}`
  const lines = (error.stderr ?? '').trim().split('\n')
  return `installing failed: ${lines.at(-1) || error.message}`
}

await installClients()
