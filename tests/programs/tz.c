// A named time zone comes from zoneinfo.
//@ env TZ=Europe/Berlin
//@ tool run
//@ native no
#include "test.h"

int main(void)
{
    time_t when[] = { 1700000000, 1690000000, 0 };
    for (int i = 0; i < 3; i++) {
        char buf[100];
        strftime(buf, sizeof buf, "%Y-%m-%d %H:%M:%S %Z %z", localtime(&when[i]));
        printf("%s\n", buf);
    }
    return done();
}
