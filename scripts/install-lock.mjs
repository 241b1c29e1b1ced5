// One installation at a time, also among processes that start together: a folder is the lock, its age the sign of life.
import { mkdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const heartbeatMs = 1_000
const staleMs = 10_000

/**
 * Runs `work` while holding the lock folder. onWait is called once when another process holds it. A holder that died
 * without letting go is passed over after ten seconds.
 */
export async function withInstallLock(folder, onWait, work) {
  mkdirSync(dirname(folder), { recursive: true })
  for (let waits = 0; !tryLock(folder); waits++) {
    if (waits === 0) onWait()
    await sleep(200)
  }
  const heartbeat = setInterval(() => {
    const now = new Date()
    utimesSync(folder, now, now)
  }, heartbeatMs)
  const release = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', release)
  try {
    return await work()
  } finally {
    clearInterval(heartbeat)
    process.removeListener('exit', release)
    release()
  }
}

function tryLock(folder) {
  try {
    mkdirSync(folder)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  try {
    if (Date.now() - statSync(folder).mtimeMs > staleMs) {
      const aside = `${folder}.${process.pid}`
      renameSync(folder, aside) // only one of the waiting processes succeeds
      rmSync(aside, { recursive: true, force: true })
    }
  } catch (error) {
    if (error.code !== 'ENOENT') throw error // else: released or moved aside in this very moment
  }
  return false
}
