"""libtorrent as a peer of the benchmark: loopback TCP, unencrypted, no discovery of any kind.

    torrent_driver.py make   FOLDER TORRENT VERSION
    torrent_driver.py seed   FOLDER TORRENT ADDRESS
    torrent_driver.py fetch  TARGET TORRENT ADDRESS HOST:PORT

`make` describes FOLDER (VERSION: v1, v2 or hybrid), `seed` prints `port N` when it has checked all
pieces, `fetch` ends when every piece was verified and every file closed.
"""

import os
import sys
import time

import libtorrent as lt


def session(address):
    settings = {
        "listen_interfaces": address + ":0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "in_enc_policy": lt.enc_policy.disabled,
        "out_enc_policy": lt.enc_policy.disabled,
        "allow_multiple_connections_per_ip": True,
        # What fills a fast link: long queues, large socket buffers, a hashing thread per core.
        "hashing_threads": os.cpu_count(),
        "max_out_request_queue": 3000,
        "max_allowed_in_request_queue": 6000,
        "request_queue_time": 3,
        "whole_pieces_threshold": 20,
        "max_queued_disk_bytes": 64 * 1024 * 1024,
        "send_buffer_low_watermark": 1024 * 1024,
        "send_buffer_watermark": 8 * 1024 * 1024,
        "send_buffer_watermark_factor": 250,
        "send_socket_buffer_size": 4 * 1024 * 1024,
        "recv_socket_buffer_size": 4 * 1024 * 1024,
        "file_pool_size": 500,
        "checking_mem_usage": 2048,
        "alert_mask": lt.alert.category_t.error_notification
        | lt.alert.category_t.status_notification
        | lt.alert.category_t.storage_notification,
    }
    return lt.session(settings)


def add(sess, torrent, folder):
    params = lt.load_torrent_file(torrent)
    params.save_path = folder
    params.storage_mode = lt.storage_mode_t.storage_mode_sparse
    flags = lt.torrent_flags
    params.flags &= ~(flags.auto_managed | flags.paused)
    params.flags |= flags.disable_dht | flags.disable_lsd | flags.disable_pex
    return sess.add_torrent(params)


def wait_seeding(sess, handle):
    while True:
        sess.wait_for_alert(1000)
        for alert in sess.pop_alerts():
            if isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                sys.exit(alert.message())
        status = handle.status()
        if status.errc.value():
            sys.exit(status.errc.message())
        if status.is_seeding:
            return


def make(folder, torrent, version):
    flags = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}
    creator = lt.create_torrent(lt.list_files(folder), 0, flags[version])
    lt.set_piece_hashes(creator, os.path.dirname(folder))
    with open(torrent, "wb") as file:
        file.write(lt.bencode(creator.generate()))


def seed(folder, torrent, address):
    sess = session(address)
    handle = add(sess, torrent, os.path.dirname(folder))
    wait_seeding(sess, handle)
    print("port", sess.listen_port(), flush=True)
    while True:
        time.sleep(3600)


def fetch(target, torrent, address, peer):
    sess = session(address)
    handle = add(sess, torrent, target)
    host, port = peer.rsplit(":", 1)
    handle.connect_peer((host, int(port)))
    wait_seeding(sess, handle)
    # Stopping it writes out what is queued and closes the files; the alert says when.
    handle.flush_cache()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        sess.wait_for_alert(1000)
        if any(isinstance(alert, lt.cache_flushed_alert) for alert in sess.pop_alerts()):
            break
    sys.stdout.flush()
    # The destructor of a session takes a second of waiting that no user would see.
    os._exit(0)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
