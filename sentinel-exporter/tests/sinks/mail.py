"""A real mail server (aiosmtpd) for the tests: takes mail as its first argument says, and prints each as a line of JSON.

Mail is parsed by Python's own parser, which knows nothing of who wrote it. The server ends with its standard input.
"""

import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Taken:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "authenticated": session.authenticated,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "multipart": mail.is_multipart(),
            "type": mail.get_content_type(),
            "charset": mail.get_content_charset(),
            # The end of the last line belongs to SMTP.
            "body": mail.get_content().replace("\r\n", "\n").rstrip("\n"),
            "defects": [repr(defect) for defect in mail.defects],
            "longest": max(len(line) for line in envelope.original_content.split(b"\r\n")),
            "ascii": envelope.original_content.isascii(),
        }
        print(json.dumps(line), flush=True)
        return "250 taken"


async def main():
    asked = json.loads(sys.argv[1])
    context = None
    if asked["encryption"] != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(asked["certificate"], asked["key"])

    def authenticator(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and data.password == asked["password"].encode()
        return AuthResult(success=good, handled=False)

    starttls = asked["encryption"] == "starttls"

    def protocol():
        return SMTP(
            Taken(),
            hostname="localhost",
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=asked["password"] is not None,
            auth_require_tls=starttls,
            authenticator=authenticator,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=None if starttls else context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


# It warns of itself.
logging.disable()
asyncio.run(main())
