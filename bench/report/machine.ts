/** The machine that the figures are from. */
import { open, readFile, rm } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Machine } from '../result.ts'

/** folder: where the data of the run is. */
export async function describeMachine(folder: string): Promise<Machine> {
  const mount = await mountOf(folder)
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    disk: `${mount.device} (${mount.type}${await kindOf(mount)})`,
    ...(await measureDisk(folder)),
  }
}

export interface Mount {
  readonly device: string
  readonly type: string
  /** major:minor */
  readonly numbers: string
}

/** The mount that a folder is in, from the longest mount point that its path begins with. */
export async function mountOf(folder: string): Promise<Mount> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).trim().split('\n')
  const mounts = lines.map((line) => {
    const [first = '', second = ''] = line.split(' - ')
    const [, , numbers = '', , point = '/'] = first.split(' ')
    const [type = '', device = ''] = second.split(' ')
    return { numbers, point, type, device }
  })
  const around = mounts.filter(({ point }) => point === '/' || folder === point || folder.startsWith(`${point}/`))
  const [mount] = around.sort((one, other) => other.point.length - one.point.length)
  if (mount === undefined) throw new Error(`no mount has ${folder}`)
  return mount
}

async function kindOf({ device, numbers }: Mount): Promise<string> {
  // A virtual machine's disk says that it rotates whatever it is.
  if (/^\/dev\/x?vd/.test(device)) return ', virtual'
  for (const path of [`/sys/dev/block/${numbers}/queue/rotational`, `/sys/dev/block/${numbers}/../queue/rotational`]) {
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined) return text.trim() === '0' ? ', no rotating disk' : ', rotating disk'
  }
  return ''
}

const measuredMegabytes = 256
const measuredSyncs = 50

/** What a push cannot be faster than: bytes that are synced once, and single small syncs. */
async function measureDisk(
  folder: string,
): Promise<Pick<Machine, 'diskWriteMegabytesPerSecond' | 'diskSyncMilliseconds'>> {
  const path = join(folder, 'disk-probe')
  const file = await open(path, 'w')
  try {
    const piece = Buffer.alloc(1_000_000, 'berth')
    let from = performance.now()
    for (let at = 0; at < measuredMegabytes; at++) await file.write(piece, 0, piece.length, at * piece.length)
    await file.datasync()
    const diskWriteMegabytesPerSecond = Math.round(measuredMegabytes / ((performance.now() - from) / 1000))
    from = performance.now()
    for (let at = 0; at < measuredSyncs; at++) {
      await file.write(piece, 0, 4096, at * 4096)
      await file.datasync()
    }
    const diskSyncMilliseconds = Number(((performance.now() - from) / measuredSyncs).toFixed(2))
    return { diskWriteMegabytesPerSecond, diskSyncMilliseconds }
  } finally {
    await file.close()
    await rm(path)
  }
}
